-- What was done to one environment, and to what stands in it. Records from before have none.
ALTER TABLE audit ADD COLUMN environment TEXT;
CREATE INDEX audit_by_environment ON audit (environment, sequence) WHERE environment IS NOT NULL;
