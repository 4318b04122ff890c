"""Submitting jobs to a cluster, replacing, stopping and watching them."""
