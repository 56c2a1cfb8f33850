"""The most memory that another process held while it was watched."""

import pathlib
import re
import subprocess
import time

SECONDS_BETWEEN_LOOKS_AT_GPU = 0.5


class PeakMemory:
    """Of a process on the CPU the kernel keeps the peak of its resident memory, which can be set back. Of one on a GPU it is
    the most that nvidia-smi showed at any look(). `bytes` is None where nothing could be seen."""

    def __init__(self, pid, device):
        self.folder, self.pid, self.device = pathlib.Path(f"/proc/{pid}"), pid, device
        self.bytes = None
        self.looked_at_gpu = 0.0

    def restart(self):
        self.bytes = None
        if self.device == "cpu":
            (self.folder / "clear_refs").write_text("5")

    def look(self):
        seen = self._resident_peak() if self.device == "cpu" else self._on_gpu()
        if seen is not None:
            self.bytes = max(seen, self.bytes or 0)

    def _resident_peak(self):
        try:
            found = re.search(r"^VmHWM:\s+(\d+) kB$", (self.folder / "status").read_text(), re.MULTILINE)
        except OSError:  # it has ended
            return None
        return int(found[1]) * 1024 if found else None

    def _on_gpu(self):
        if time.monotonic() < self.looked_at_gpu + SECONDS_BETWEEN_LOOKS_AT_GPU:
            return None
        self.looked_at_gpu = time.monotonic()
        rows = subprocess.run(["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"],
                              capture_output=True, text=True, check=True).stdout.splitlines()
        mebibytes = [row.split(",")[1] for row in rows if row.split(",")[0].strip() == str(self.pid)]
        return sum(int(value) for value in mebibytes) * 2**20 if mebibytes else None
