"""`python -m local_sagemaker`: the console script local-sagemaker."""

import sys

from local_sagemaker.cli import main

sys.exit(main())
