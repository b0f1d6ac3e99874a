"""Both stages in one command: task file, stages, runner, summary."""
