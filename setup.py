"""Build the compiled kernels; metadata and tool settings are in ``pyproject.toml``.

Every extension is optional: where no compiler is at hand the install succeeds and
``sklearn_mf.kernels.reference`` does the work.
"""

import os
import sys
import tempfile
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

KERNELS = Path("sklearn_mf", "kernels")
DIRECTIVES = {
    "boundscheck": "SKLEARN_MF_BOUNDSCHECK" in os.environ,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
}
OPENMP_FLAGS = {
    "linux": (["-fopenmp"], ["-fopenmp"]),
    "darwin": (["-Xpreprocessor", "-fopenmp"], ["-lomp"]),
    "win32": (["/openmp"], []),
}
OPENMP_PROBE = "#include <omp.h>\nint threads(void) { return omp_get_max_threads(); }\n"


class BuildKernels(build_ext):
    """Compile with OpenMP where what uses it compiles, links and is asked for."""

    def build_extensions(self):
        compile_flags, link_flags = self.openmp_flags()
        if self.compiler.compiler_type != "msvc":
            # The register tiles of _row_system.h rely on loops being unrolled.
            compile_flags = ["-O3", *compile_flags]
            if "CFLAGS" not in os.environ:
                # Without it, Python's own "-g" makes wheels three times as large.
                compile_flags.append("-g0")
        for extension in self.extensions:
            extension.extra_compile_args += compile_flags
            extension.extra_link_args += link_flags
        super().build_extensions()

    def openmp_flags(self):
        flags = OPENMP_FLAGS.get(sys.platform, OPENMP_FLAGS["linux"])
        if "SKLEARN_MF_NO_OPENMP" in os.environ:
            return [], []
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text(OPENMP_PROBE)
            try:
                objects = self.compiler.compile(
                    [str(source)], output_dir=folder, extra_postargs=flags[0]
                )
                # As the kernels are linked: a program would be linked without LDFLAGS.
                self.compiler.link_shared_object(
                    objects, str(Path(folder, "probe.so")), extra_postargs=flags[1]
                )
            except Exception as error:  # each compiler class raises its own kind
                self.announce(f"sklearn_mf: no OpenMP, kernels use one thread ({error})", level=3)
                return [], []
        return flags


extensions = cythonize(
    [
        Extension(
            ".".join(source.with_suffix("").parts),
            [str(source)],
            depends=[str(header) for header in KERNELS.glob("*.h")],
            define_macros=[("Py_LIMITED_API", "0x030B0000")],
            py_limited_api=True,
        )
        for source in sorted(KERNELS.glob("*.pyx"))
    ],
    language_level=3,
    compiler_directives=DIRECTIVES,
)
for extension in extensions:
    extension.optional = True  # cythonize drops it; without a compiler the install goes on

setup(ext_modules=extensions, cmdclass={"build_ext": BuildKernels})
