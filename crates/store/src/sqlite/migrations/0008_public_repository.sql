-- Repositories that anybody may pull from, of those that lie in another registry: what lies here says so by itself.
CREATE TABLE public_repository (
    repository TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;
