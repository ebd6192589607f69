-- Whom a provider knows a user as, and what groups gave. A person is remembered after the end of their user, who would come back with
-- the next sign-in else.
ALTER TABLE user ADD COLUMN issuer TEXT;
ALTER TABLE user ADD COLUMN subject TEXT;
ALTER TABLE user ADD COLUMN admin_by_group INTEGER NOT NULL DEFAULT 0;
ALTER TABLE member ADD COLUMN by_group INTEGER NOT NULL DEFAULT 0;
CREATE TABLE person (
    issuer  TEXT NOT NULL,
    subject TEXT NOT NULL,
    user    TEXT NOT NULL,               -- may be gone, or another of the name
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;
