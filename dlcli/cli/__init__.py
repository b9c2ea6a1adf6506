"""The command line: commands that parse arguments, call one public function and print."""
