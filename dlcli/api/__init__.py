"""The Python API: the names of `import dlcli`, each loaded on first use."""
