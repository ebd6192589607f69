-- Which indexes of a repository name a manifest, by its digest: the way up from a part, for what asks that of a few manifests and must
-- not read all of the repository for it. Only pushes of indexes write it.
ALTER TABLE manifest_child ADD COLUMN repository INTEGER NOT NULL DEFAULT 0;
UPDATE manifest_child SET repository = coalesce((SELECT repository FROM manifest WHERE number = manifest_child.manifest), 0);
CREATE INDEX manifest_child_by_digest ON manifest_child (repository, digest);
