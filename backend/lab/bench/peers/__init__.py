"""What engineers write instead, as a textbook has it: what ``coffee bench --peers`` puts beside the pipelines.

Each file is a program of its own and imports nothing of ours. They run in an environment of their own, which has
what ``requirements.txt`` names: this project needs neither FastAPI nor FastStream.
"""
