"""Saves the content of S3 as files for a restart; moto keeps it in memory only."""

import hashlib
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

_HEADERS = (
    *("CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage"),
    "WebsiteRedirectLocation",
)
_DELAY = 2.0  # seconds from a change to the start of saving it


class S3Persistence:
    """Saves buckets and objects soon after they change, and restores them at the start."""

    def __init__(self, folder: Path, s3: Any):
        """Take the folder for the files and a boto3 S3 client."""
        self._folder, self._s3 = folder, s3
        self._dirty, self._stopped = threading.Event(), threading.Event()
        self._saved: dict[tuple[str, str], str] = {}  # (bucket, key): ETag
        self._thread = threading.Thread(target=self._save_changes, daemon=True)

    def restore(self) -> list[str]:
        """Restore buckets and objects from the folder; return messages for the user."""
        count = 0
        for bucket in sorted(path for path in self._folder.glob("*") if path.is_dir()):
            self._s3.create_bucket(Bucket=bucket.name)
            for file in sorted(bucket.glob("*.json")):
                metadata = json.loads(file.read_text())
                with file.with_suffix(".data").open("rb") as data:
                    response = self._s3.put_object(
                        Bucket=bucket.name,
                        Key=metadata["key"],
                        Body=data,
                        ContentType=metadata["type"],
                        Metadata=metadata["metadata"],
                        **metadata.get("headers", {}),
                    )
                self._saved[bucket.name, metadata["key"]] = response["ETag"]
                count += 1
        return [f"{count} S3 objects were restored"] if count else []

    def start(self) -> None:
        """Start to save changes."""
        self._thread.start()

    def mark_changed(self) -> None:
        """Save soon: an object or a bucket may have changed."""
        self._dirty.set()

    def stop(self) -> None:
        """Save the last changes and stop."""
        self._stopped.set()
        self._dirty.set()
        self._thread.join()
        self._save()

    def _save_changes(self) -> None:
        while not self._stopped.is_set():
            self._dirty.wait()
            self._stopped.wait(_DELAY)
            self._dirty.clear()
            if not self._stopped.is_set():
                try:
                    self._save()
                except (OSError, BotoCoreError, ClientError) as error:
                    sys.stderr.write(f"S3 objects cannot be saved in {self._folder}: {error}\n")

    def _save(self) -> None:
        present: dict[tuple[str, str], str] = {}
        buckets = [bucket["Name"] for bucket in self._s3.list_buckets()["Buckets"]]
        for bucket in buckets:
            (self._folder / bucket).mkdir(parents=True, exist_ok=True)
            for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                for entry in page.get("Contents", ()):
                    present[bucket, entry["Key"]] = entry["ETag"]
        for (bucket, key), etag in present.items():
            if self._saved.get((bucket, key)) != etag:
                try:
                    self._save_object(bucket, key)
                except ClientError:
                    continue  # deleted since the listing
                self._saved[bucket, key] = etag
        for bucket, key in set(self._saved) - set(present):
            for suffix in (".json", ".data"):
                self._file(bucket, key).with_suffix(suffix).unlink(missing_ok=True)
            del self._saved[bucket, key]
        for folder in self._folder.glob("*"):
            if folder.name not in buckets and not any(folder.iterdir()):
                folder.rmdir()

    def _save_object(self, bucket: str, key: str) -> None:
        response = self._s3.get_object(Bucket=bucket, Key=key)
        file = self._file(bucket, key)
        new = file.with_suffix(".new")
        with new.open("wb") as stream:
            for chunk in response["Body"].iter_chunks(1 << 20):
                stream.write(chunk)
        os.replace(new, file.with_suffix(".data"))
        metadata = {
            "key": key,
            "type": response["ContentType"],
            "metadata": response["Metadata"],
            "headers": {name: response[name] for name in _HEADERS if name in response},
        }
        new.write_text(json.dumps(metadata))
        os.replace(new, file.with_suffix(".json"))

    def _file(self, bucket: str, key: str) -> Path:
        # Keys can be longer than file names, and contain characters that these cannot.
        return self._folder / bucket / hashlib.sha256(key.encode()).hexdigest()[:40]
