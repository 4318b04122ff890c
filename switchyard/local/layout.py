"""Where the local stack keeps its files."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from switchyard.core import data_folder
from switchyard.core.settings import Settings
from switchyard.local.errors import StackError

# A Unix socket path holds 107 bytes; supervisord appends a dot and its process id while it binds.
SOCKET_PATH_LIMIT = 95


@dataclass(frozen=True)
class Layout:
    """The folders under one home."""

    home: Path

    @classmethod
    def of(cls, settings: Settings) -> Layout:
        return cls(settings.home.absolute())

    @property
    def log(self) -> Path:
        return self.home / "log"

    @property
    def dispatch_key(self) -> Path:
        return self.home / "state" / "dispatch-key"

    @property
    def kafka(self) -> Path:
        return self.home / "kafka"

    @property
    def flink(self) -> Path:
        return self.home / "flink"

    @property
    def flink_conf(self) -> Path:
        return self.flink / "conf"

    @property
    def flink_lib(self) -> Path:
        return self.flink / "lib"

    @property
    def flink_plugins(self) -> Path:
        return self.flink / "plugins"

    @property
    def checkpoints(self) -> Path:
        return self.flink / "checkpoints"

    @property
    def savepoints(self) -> Path:
        return self.flink / "savepoints"

    @property
    def flink_tmp(self) -> Path:
        return self.flink / "tmp"

    @property
    def mail(self) -> Path:
        return self.home / "mail"

    @property
    def run(self) -> Path:
        return self.home / "run"

    @property
    def programs(self) -> Path:
        return self.run / "programs"

    @property
    def state(self) -> Path:
        """The workers' databases."""
        return self.home / "state"

    @property
    def supervisor_conf(self) -> Path:
        return self.run / "supervisord.conf"

    @property
    def supervisor_log(self) -> Path:
        return self.log / "supervisord.log"

    @property
    def supervisor_pid(self) -> Path:
        return self.run / "supervisord.pid"

    @property
    def stack_file(self) -> Path:
        return self.run / "stack.json"

    @property
    def ports_file(self) -> Path:
        return self.run / "ports.json"

    @property
    def apps_file(self) -> Path:
        return self.run / "apps.json"

    @property
    def jobs(self) -> Path:
        """What was submitted to this stack."""
        return self.run / "jobs"

    @property
    def demos(self) -> Path:
        """A file for each demo, see `demo_runs`."""
        return self.run / "demos"

    @property
    def lock_file(self) -> Path:
        return self.run / "lock"

    @property
    def socket(self) -> Path:
        """Supervisord's socket; in a short folder of its own when the home's path is too long for one."""
        path = self.run / "supervisor.sock"
        return path if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT else self.short_folder / "supervisor.sock"

    @property
    def short_folder(self) -> Path:
        digest = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"switchyard-{os.getuid()}-{digest}"

    def make(self) -> None:
        """Make every folder, for this user only. Raises StackError where another user has that of the socket."""
        folders = (
            self.log,
            self.kafka,
            self.flink_conf,
            self.flink_lib,
            self.flink_plugins,
            self.checkpoints,
            self.savepoints,
            self.flink_tmp,
            self.mail,
            self.programs,
            self.jobs,
            self.state,
        )
        data_folder.make(self.home, *folders)
        self.run.chmod(0o700)
        if self.socket.parent == self.short_folder:
            self.short_folder.mkdir(mode=0o700, exist_ok=True)
            made = self.short_folder.lstat()
            if not stat.S_ISDIR(made.st_mode) or made.st_uid != os.getuid() or made.st_mode & 0o077:
                raise StackError(f"{self.short_folder} is not a folder of this user alone; remove it and try again.")

    def remove(self) -> None:
        """Remove all data; only for a stack that is down. Raises SettingsError where the home is not of our making."""
        data_folder.remove(self.home)
        shutil.rmtree(self.short_folder, ignore_errors=True)
