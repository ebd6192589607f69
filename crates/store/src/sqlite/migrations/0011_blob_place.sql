-- Where the bytes of blobs lie, when their digests do not say it: in a bucket, where every upload has a key of its own. Goes with
-- a blob's last link.
CREATE TABLE blob_place (
    digest TEXT NOT NULL PRIMARY KEY,
    place  TEXT NOT NULL UNIQUE
) STRICT, WITHOUT ROWID;
