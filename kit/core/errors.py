"""The one exception tree.

```
KitError                 a user can fix it: printed without traceback, exit 2
├── ConfigError          a key or a value of the configuration
├── DataError            frames, annotations, meta: what the user brought
├── ArtifactError        a file of ours: missing, damaged, out of date
├── WeightsError         a checkpoint: missing, gated, of another layout
├── DeviceError          a device: too little memory, set aside, its files not one's own
└── SubmissionError      an archive or folder that the server would not score as meant
```

Anything else is a defect of the kit and keeps its traceback. `kit.cli` is the only boundary.
A message says what, where, both values, the likely cause and the fix.
"""


class KitError(Exception):
    """Base of everything a user can fix."""


class ConfigError(KitError):
    """A key or value of the configuration is wrong."""


class DataError(KitError):
    """Frames, annotations or meta data that cannot be used as they are."""


class ArtifactError(KitError):
    """One of our own files is missing, damaged or made from other inputs than the present ones."""


class WeightsError(KitError):
    """A checkpoint cannot be had or does not fit."""


class DeviceError(KitError):
    """No device can do the job as it is."""


class SubmissionError(KitError):
    """Predictions that the server would refuse or score otherwise than meant."""
