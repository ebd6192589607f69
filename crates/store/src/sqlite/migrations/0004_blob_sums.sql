-- What is known of the content of blobs. Both go with a blob's last link.

-- Checksums, so that a damaged blob is noticed while it is read. A blob without a row was taken in before there were any.
CREATE TABLE blob_sums (
    digest TEXT    NOT NULL PRIMARY KEY,
    piece  INTEGER NOT NULL,   -- bytes of each piece; the last one may be shorter
    sums   BLOB    NOT NULL    -- CRC-32C of each piece in order, four bytes each, little endian
) STRICT;

-- Blobs that were read and are not what their digest says.
CREATE TABLE blob_damage (
    digest TEXT    NOT NULL PRIMARY KEY,
    found  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
