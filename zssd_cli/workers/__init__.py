"""Several processes that draw one job, by Dask: each task is a batch, and the process that was called alone writes."""
