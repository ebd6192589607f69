-- The log of operations: the newest events of the instance, or of one environment.

-- The environment of what an operation works on, or that environment itself; repeated from the body.
ALTER TABLE operation ADD COLUMN environment_id TEXT;
UPDATE operation SET environment_id =
    CASE WHEN entity_kind = 'environment' THEN entity_id ELSE json_extract(body, '$.environment') END;
CREATE INDEX operation_by_environment ON operation (environment_id) WHERE environment_id IS NOT NULL;

CREATE INDEX operation_event_by_age ON operation_event (at, operation, sequence);
