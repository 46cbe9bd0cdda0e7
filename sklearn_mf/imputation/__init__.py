"""Models that fill the missing values of whole tables and estimate their uncertainty."""
