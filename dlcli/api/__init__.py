"""The Python API: what `import dlcli` offers, each name loaded when it is used."""
