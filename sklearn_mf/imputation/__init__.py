"""Models of whole tables that fill what is missing, and tell how sure they are."""
