"""The orchestrator's job. `switchyard submit APP` runs it; so does

flink run -d -pyexec PYTHON -pyclientexec PYTHON -py jobs/orchestrate.py --app sdr --kafka HOST:PORT
"""

from switchyard.flink.orchestrator_job import main

if __name__ == "__main__":
    main()
