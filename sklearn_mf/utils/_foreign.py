"""Data of libraries whose arrays NumPy would pull into memory unasked, or not understand."""


def library_of(X):
    """The library that defines what X is."""
    return type(X).__module__.partition(".")[0]


def is_dask(X):
    """Whether X is a collection of Dask, whose data may be on other machines, or nowhere yet."""
    return library_of(X) == "dask" and hasattr(X, "__dask_graph__")


def here(X, name):
    """X, if NumPy can read it where it is.

    Parameters
    ----------
    X : array-like
        What a user hands over.
    name : str
        What a message calls it.

    Returns
    -------
    X : array-like
        Of a tensor of PyTorch the array that shares its memory.

    Raises
    ------
    TypeError
        If X would have to be computed, or moved from a device.
    """
    if is_dask(X):
        raise TypeError(
            f"{name} is a Dask {type(X).__name__}, which is not pulled into memory unasked. "
            f"Pass {name}.compute() where it fits; MatrixFactorization takes one as X as it is."
        )
    if library_of(X) != "torch" or not hasattr(X, "numpy"):
        return X
    if X.device.type != "cpu":
        raise TypeError(
            f"{name} is a tensor on the device {str(X.device)!r}, from where it is not moved "
            f"unasked: pass {name}.cpu()."
        )
    if "sparse" in str(X.layout):
        raise TypeError(
            f"{name} is a sparse tensor of PyTorch: pass a sparse matrix of SciPy, such as "
            f"csr_array((values, column_indices, row_pointers)), or {name}.to_dense()."
        )
    return X.detach().numpy()
