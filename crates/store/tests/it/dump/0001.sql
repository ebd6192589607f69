-- Schema 1 with a row in each table, dumped when it was the newest. Never change it.
PRAGMA foreign_keys = OFF;
PRAGMA application_id = 1278239842;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE blob_link (
    repository INTEGER NOT NULL REFERENCES repository (number) ON DELETE CASCADE,
    digest     TEXT    NOT NULL,
    size       INTEGER NOT NULL,
    linked     INTEGER NOT NULL,
    PRIMARY KEY (repository, digest)
) STRICT, WITHOUT ROWID;
INSERT INTO "blob_link" VALUES(1,'sha256:dac1d7cfa95021764849fd102524e141488c5e3a90f861dbb5a12d9ac8584f85',5,1700000000000);
CREATE TABLE deploy (
    id       TEXT    NOT NULL,
    name     TEXT    NOT NULL,
    version  INTEGER NOT NULL,
    label    TEXT    NOT NULL,
    created  INTEGER NOT NULL,
    images   TEXT    NOT NULL,
    document TEXT    NOT NULL
) STRICT;
INSERT INTO "deploy" VALUES('web.1','web',1,'stateful,stateless',1700000000000,'[{"container":"app","written":"registry.example.com/team/app:1","rule":null,"backing":"localhost:9090/team/app:1"}]','{"anUnknownKey":[1,2.5,null],"containerDefinitions":[{"environment":[{"name":"KEY","value":"a=b:c ''d'' \"e\" \n ü \u0001"}],"essential":true,"image":"registry.example.com/team/app:1","memory":64,"name":"app"}],"family":"web"}');
CREATE TABLE deploy_version (
    name TEXT    NOT NULL PRIMARY KEY,
    last INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "deploy_version" VALUES('web',2);
CREATE TABLE entity (
    kind             TEXT    NOT NULL,
    id               TEXT    NOT NULL,
    name             TEXT    NOT NULL,
    environment_id   TEXT    NOT NULL,   -- '' for an environment, so that the unique index below holds for it too
    generation       INTEGER NOT NULL,
    deleting         INTEGER NOT NULL,
    label            TEXT    NOT NULL,
    load_balancer_id TEXT,               -- of a service that has one
    body             TEXT    NOT NULL
) STRICT;
INSERT INTO "entity" VALUES('environment','e','e','',1,0,'linux',NULL,'{"id":"e","name":"e","operating_system":"linux","scale":0,"instance_type":"t3.small","ami_id":"","user_data_template":"IyEvYmluL3No","links":[],"created":1700000000000,"generation":1,"deleting":false}');
INSERT INTO "entity" VALUES('environment','f','f','',1,0,'linux',NULL,'{"id":"f","name":"f","operating_system":"linux","scale":0,"instance_type":"t3.small","ami_id":"","user_data_template":"IyEvYmluL3No","links":["e"],"created":1700000000000,"generation":1,"deleting":false}');
INSERT INTO "entity" VALUES('load_balancer','lb','lb','e',1,0,'classic',NULL,'{"id":"lb","name":"lb","environment":"e","kind":"classic","visibility":"public","ports":[{"host_port":80,"container_port":8080,"protocol":"http","certificate_arn":null}],"health_check":{"target":"TCP:80","path":"/","interval_s":30,"timeout_s":5,"healthy_threshold":2,"unhealthy_threshold":2},"idle_timeout_s":60,"cross_zone":true,"created":1700000000000,"generation":1,"deleting":false}');
INSERT INTO "entity" VALUES('service','s','s','e',1,0,'','lb','{"id":"s","name":"s","environment":"e","load_balancer":"lb","stateful":false,"desired_count":1,"deployments":[{"id":"s-d1","deploy":"web.1","deploy_name":"web","deploy_version":1,"images":[{"container":"app","written":"registry.example.com/team/app:1","pinned":"localhost:9090/team/app:1","warning":"a \"quoted\" warning\nof two lines"}],"definition":{"family":"s","network_mode":null,"task_role_arn":null,"execution_role_arn":null,"cpu":null,"memory_mib":null,"requires_compatibilities":[],"runtime_platform":null,"pid_mode":null,"ipc_mode":null,"ephemeral_storage_gib":null,"volumes":[],"containers":[{"name":"app","image":"registry.example.com/team/app:1","essential":true,"environment":{"KEY":"a=b:c ''d'' \"e\" \n ü \u0001"},"command":[],"entry_point":[],"port_mappings":[],"mount_points":[],"volumes_from":[],"links":[],"depends_on":[],"health_check":null,"memory_mib":64,"memory_reservation_mib":null,"cpu":null,"ulimits":[],"user":null,"working_directory":null,"stop_timeout_s":30,"start_timeout_s":null,"hostname":null,"dns_servers":[],"dns_search_domains":[],"extra_hosts":[],"disable_networking":false,"privileged":false,"readonly_root_filesystem":false,"init_process_enabled":false,"capabilities_add":[],"capabilities_drop":[],"shared_memory_mib":null,"tmpfs":[],"devices":[],"system_controls":{},"docker_labels":{},"docker_security_options":[],"pseudo_terminal":false,"interactive":false,"log_configuration":null,"secrets":[],"repository_credentials":null,"environment_files":[],"restart_policy":null}],"not_modelled":[]},"state":"in_progress","was_healthy":false,"cause":null,"created":1700000000000,"updated":1700000000000}],"created":1700000000000,"generation":1,"deleting":false}');
INSERT INTO "entity" VALUES('task','t','t','e',1,0,'',NULL,'{"id":"t","name":"t","environment":"e","deploy":"web.1","deploy_name":"web","deploy_version":1,"images":[{"container":"app","written":"registry.example.com/team/app:1","pinned":"localhost:9090/team/app:1","warning":"a \"quoted\" warning\nof two lines"}],"definition":{"family":"t","network_mode":null,"task_role_arn":null,"execution_role_arn":null,"cpu":null,"memory_mib":null,"requires_compatibilities":[],"runtime_platform":null,"pid_mode":null,"ipc_mode":null,"ephemeral_storage_gib":null,"volumes":[],"containers":[{"name":"app","image":"registry.example.com/team/app:1","essential":true,"environment":{"KEY":"a=b:c ''d'' \"e\" \n ü \u0001"},"command":[],"entry_point":[],"port_mappings":[],"mount_points":[],"volumes_from":[],"links":[],"depends_on":[],"health_check":null,"memory_mib":64,"memory_reservation_mib":null,"cpu":null,"ulimits":[],"user":null,"working_directory":null,"stop_timeout_s":30,"start_timeout_s":null,"hostname":null,"dns_servers":[],"dns_search_domains":[],"extra_hosts":[],"disable_networking":false,"privileged":false,"readonly_root_filesystem":false,"init_process_enabled":false,"capabilities_add":[],"capabilities_drop":[],"shared_memory_mib":null,"tmpfs":[],"devices":[],"system_controls":{},"docker_labels":{},"docker_security_options":[],"pseudo_terminal":false,"interactive":false,"log_configuration":null,"secrets":[],"repository_credentials":null,"environment_files":[],"restart_policy":null}],"not_modelled":[]},"copies":2,"stateful":false,"wanted":"run","outcome":null,"created":1700000000000,"generation":1,"deleting":false}');
CREATE TABLE entity_tag (
    entity_id   TEXT NOT NULL,
    entity_type TEXT NOT NULL,
    key         TEXT NOT NULL,
    value       TEXT NOT NULL,
    PRIMARY KEY (entity_id, entity_type, key)
) STRICT, WITHOUT ROWID;
INSERT INTO "entity_tag" VALUES('e','environment','team','a');
CREATE TABLE environment_link (
    source TEXT NOT NULL,
    target TEXT NOT NULL,
    PRIMARY KEY (source, target)
) STRICT, WITHOUT ROWID;
INSERT INTO "environment_link" VALUES('f','e');
CREATE TABLE image_tag (
    repository INTEGER NOT NULL REFERENCES repository (number) ON DELETE CASCADE,
    name       TEXT    NOT NULL,
    manifest   INTEGER NOT NULL REFERENCES manifest (number) ON DELETE CASCADE,
    PRIMARY KEY (repository, name)
) STRICT, WITHOUT ROWID;
INSERT INTO "image_tag" VALUES(1,'latest',1);
INSERT INTO "image_tag" VALUES(1,'index',2);
CREATE TABLE manifest (
    number        INTEGER NOT NULL PRIMARY KEY,
    repository    INTEGER NOT NULL REFERENCES repository (number) ON DELETE CASCADE,
    digest        TEXT    NOT NULL,
    media_type    TEXT    NOT NULL,
    subject       TEXT,
    artifact_type TEXT,
    pushed        INTEGER NOT NULL,
    annotations   TEXT    NOT NULL,
    bytes         BLOB    NOT NULL
) STRICT;
INSERT INTO "manifest" VALUES(1,1,'sha256:6105d6cc76af400325e94d588ce511be5bfdbb73b437dc51eca43917d7a43e3d','application/vnd.oci.image.manifest.v1+json',NULL,NULL,1700000000000,'{}',X'696D616765');
INSERT INTO "manifest" VALUES(2,1,'sha256:1bc04b5291c26a46d918139138b992d2de976d6851d0893b0476b85bfbdfc6e6','application/vnd.oci.image.manifest.v1+json','sha256:6105d6cc76af400325e94d588ce511be5bfdbb73b437dc51eca43917d7a43e3d',NULL,1700000000000,'{}',X'696E646578');
CREATE TABLE manifest_blob (
    manifest INTEGER NOT NULL REFERENCES manifest (number) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    digest   TEXT    NOT NULL,
    size     INTEGER NOT NULL,
    PRIMARY KEY (manifest, position)
) STRICT, WITHOUT ROWID;
INSERT INTO "manifest_blob" VALUES(1,0,'sha256:dac1d7cfa95021764849fd102524e141488c5e3a90f861dbb5a12d9ac8584f85',5);
CREATE TABLE manifest_child (
    manifest INTEGER NOT NULL REFERENCES manifest (number) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    digest   TEXT    NOT NULL,
    platform TEXT,                       -- JSON, where the index names one
    PRIMARY KEY (manifest, position)
) STRICT, WITHOUT ROWID;
INSERT INTO "manifest_child" VALUES(2,0,'sha256:6105d6cc76af400325e94d588ce511be5bfdbb73b437dc51eca43917d7a43e3d',NULL);
CREATE TABLE map_rule (
    rule TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;
INSERT INTO "map_rule" VALUES('registry.example.com|localhost:9090');
CREATE TABLE operation (
    sequence    INTEGER NOT NULL PRIMARY KEY,   -- tells apart what was asked for in the same millisecond
    id          TEXT    NOT NULL,
    entity_kind TEXT    NOT NULL,
    entity_id   TEXT    NOT NULL,
    state       TEXT    NOT NULL,
    created     INTEGER NOT NULL,
    body        TEXT    NOT NULL
) STRICT;
INSERT INTO "operation" VALUES(1,'make-e','environment','e','running',1700000000000,'{"id":"make-e","verb":"create","entity":{"kind":"environment","id":"e"},"entity_name":"e","environment":null,"deployment":null,"state":"running","cause":null,"created":1700000000000,"ended":null}');
INSERT INTO "operation" VALUES(2,'make-f','environment','f','running',1700000000000,'{"id":"make-f","verb":"create","entity":{"kind":"environment","id":"f"},"entity_name":"f","environment":null,"deployment":null,"state":"running","cause":null,"created":1700000000000,"ended":null}');
INSERT INTO "operation" VALUES(3,'make-lb','load_balancer','lb','running',1700000000000,'{"id":"make-lb","verb":"create","entity":{"kind":"load_balancer","id":"lb"},"entity_name":"lb","environment":null,"deployment":null,"state":"running","cause":null,"created":1700000000000,"ended":null}');
INSERT INTO "operation" VALUES(4,'make-s','service','s','running',1700000000000,'{"id":"make-s","verb":"create","entity":{"kind":"service","id":"s"},"entity_name":"s","environment":null,"deployment":null,"state":"running","cause":null,"created":1700000000000,"ended":null}');
INSERT INTO "operation" VALUES(5,'make-t','task','t','running',1700000000000,'{"id":"make-t","verb":"create","entity":{"kind":"task","id":"t"},"entity_name":"t","environment":null,"deployment":null,"state":"running","cause":null,"created":1700000000000,"ended":null}');
CREATE TABLE operation_event (
    operation INTEGER NOT NULL REFERENCES operation (sequence) ON DELETE CASCADE,
    sequence  INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    message   TEXT    NOT NULL,
    PRIMARY KEY (operation, sequence)
) STRICT, WITHOUT ROWID;
INSERT INTO "operation_event" VALUES(1,1,1700000000000,'network made');
CREATE TABLE repository (
    number  INTEGER NOT NULL PRIMARY KEY,
    name    TEXT    NOT NULL UNIQUE,
    owner   TEXT    NOT NULL,
    created INTEGER NOT NULL
) STRICT;
INSERT INTO "repository" VALUES(1,'team/app','team',1700000000000);
CREATE TABLE setting (
    key   TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "setting" VALUES('instance',X'6931');
CREATE TABLE token (
    sequence  INTEGER NOT NULL PRIMARY KEY,
    id        TEXT    NOT NULL UNIQUE,
    hash      BLOB    NOT NULL UNIQUE,
    name      TEXT    NOT NULL,
    user      TEXT    NOT NULL,
    created   INTEGER NOT NULL,
    expires   INTEGER,
    last_used INTEGER
) STRICT;
INSERT INTO "token" VALUES(1,'t',X'0707070707070707070707070707070707070707070707070707070707070707','t','admin',1700000000000,NULL,NULL);
CREATE UNIQUE INDEX entity_by_id ON entity (kind, id);
CREATE UNIQUE INDEX entity_by_name ON entity (environment_id, kind, name);
CREATE UNIQUE INDEX entity_by_load_balancer ON entity (load_balancer_id) WHERE load_balancer_id IS NOT NULL;
CREATE INDEX entity_summary ON entity (kind, name, id, environment_id, label);
CREATE INDEX environment_link_by_target ON environment_link (target, source);
CREATE UNIQUE INDEX deploy_by_id ON deploy (id);
CREATE INDEX deploy_summary ON deploy (name, version, id, label);
CREATE UNIQUE INDEX operation_by_id ON operation (id);
CREATE INDEX operation_by_age ON operation (created, sequence);
CREATE INDEX operation_running ON operation (created, sequence) WHERE state = 'running';
CREATE INDEX operation_running_by_entity ON operation (entity_kind, entity_id) WHERE state = 'running';
CREATE INDEX repository_by_owner ON repository (owner, name);
CREATE INDEX blob_link_by_digest ON blob_link (digest, repository);
CREATE UNIQUE INDEX manifest_by_digest ON manifest (repository, digest);
CREATE INDEX manifest_by_subject ON manifest (repository, subject, digest) WHERE subject IS NOT NULL;
CREATE INDEX image_tag_by_manifest ON image_tag (manifest);
COMMIT;
