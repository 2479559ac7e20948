"""What the package asks of the libraries below it before they are loaded."""

import os
import subprocess
import sys


def test_threads_that_wait_sleep_unless_somebody_asked_for_another_way():
    code = "import seedvr_engine, os; print(os.environ['OMP_WAIT_POLICY'])"
    for asked, given in (({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")):
        environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"} | asked
        told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
        assert told.stdout.strip() == given


def test_the_package_itself_does_not_load_pytorch_before_it_has_asked():
    code = "import seedvr_engine, sys; print('torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"
