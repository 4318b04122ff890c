"""The job in plain SQL around `route_message`, see sql/stateless. `switchyard submit APP --stateless` runs it; so does

flink run -d -pyexec PYTHON -pyclientexec PYTHON -py jobs/stateless.py --app sdr --kafka HOST:PORT
"""

from switchyard.flink.stateless_job import main

if __name__ == "__main__":
    main()
