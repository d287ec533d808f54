"""The servers of a fleet on one machine, from the package registries: for tests, benchmarks and `make fleet`."""
