BEGIN TRANSACTION;
CREATE TABLE approval(
                id TEXT PRIMARY KEY,
                conversation_id TEXT NOT NULL,
                subject TEXT NOT NULL,
                digest TEXT NOT NULL,
                environment TEXT NOT NULL,
                author TEXT NOT NULL,
                summary TEXT NOT NULL,
                state TEXT NOT NULL CHECK (state IN ('open', 'granted', 'used', 'denied', 'void')),
                requested_at INTEGER NOT NULL,
                expires_at INTEGER NOT NULL,
                approver TEXT,
                decided_at INTEGER,
                reason TEXT
            ) STRICT
            ;
INSERT INTO "approval" VALUES('a1','proj-140','plan','sha256:aa','production','dana','1 to create','open',1767603600000000,1767605400000000,NULL,NULL,NULL);
CREATE TABLE audit(
                number INTEGER PRIMARY KEY,
                at INTEGER NOT NULL,
                conversation_id TEXT NOT NULL,
                actor TEXT NOT NULL,
                action TEXT NOT NULL,
                details TEXT NOT NULL,
                previous_hash TEXT NOT NULL UNIQUE,
                hash TEXT NOT NULL
            ) STRICT
            ;
INSERT INTO "audit" VALUES(1,1767603600000000,'proj-140','devops-agent','plan_applied','{"plan":"sha256:aa"}','0000000000000000000000000000000000000000000000000000000000000000','e009d5762654d0cfb9b96003235a8bab08d43ea06521eddbdf71115e99a24b5d');
INSERT INTO "audit" VALUES(2,1767603600000000,'proj-140','kim','approved','{"plan":"sha256:aa"}','e009d5762654d0cfb9b96003235a8bab08d43ea06521eddbdf71115e99a24b5d','fd8250d8baf6a10f85c40680767085d6e102f6e8178ba17258a46e7abc0b1ecf');
CREATE TABLE effect(
                key TEXT PRIMARY KEY,
                request_hash TEXT NOT NULL,
                state TEXT NOT NULL CHECK (state IN ('started', 'done', 'failed', 'unknown')),
                epoch INTEGER NOT NULL,
                fence INTEGER NOT NULL,
                result TEXT,
                started_at INTEGER NOT NULL,
                settled_at INTEGER
            ) STRICT
            ;
INSERT INTO "effect" VALUES('jira:PROJ-140:comment','r1','done',1,4,'{"id": 7}',1767603600000000,1767603600000000);
CREATE TABLE failure(
                number INTEGER PRIMARY KEY,
                seq INTEGER NOT NULL REFERENCES inbox(seq) ON DELETE CASCADE,
                at INTEGER NOT NULL,
                error TEXT NOT NULL
            ) STRICT
            ;
INSERT INTO "failure" VALUES(1,2,1767603600000000,'no such cluster');
INSERT INTO "failure" VALUES(2,3,1767603600000000,'jira is away');
CREATE TABLE inbox(
                seq INTEGER PRIMARY KEY AUTOINCREMENT,
                message_id TEXT NOT NULL UNIQUE,
                sender TEXT NOT NULL,
                type TEXT NOT NULL,
                conversation_id TEXT NOT NULL,
                body BLOB NOT NULL,
                body_hash BLOB NOT NULL,
                reply_to TEXT,
                received_at INTEGER NOT NULL,
                state TEXT NOT NULL DEFAULT 'ready' CHECK (state IN ('ready', 'leased', 'done', 'dead')),
                attempts INTEGER NOT NULL DEFAULT 0,
                not_before INTEGER,
                fence INTEGER NOT NULL DEFAULT 0,
                lease_until INTEGER,
                ended_at INTEGER,
                CHECK ((state = 'leased') = (lease_until IS NOT NULL)),
                CHECK ((state IN ('done', 'dead')) = (ended_at IS NOT NULL))
            ) STRICT
            ;
INSERT INTO "inbox" VALUES(1,'m1','devops-agent','infrastructure_ready','c1',X'7B226E223A20317D',X'E5D5F7C1D225FD6B13623EBB1B5B9D075C705659F81868B1E37005A0923B0346',NULL,1767603600000000,'done',1,NULL,1,NULL,1767603600000000);
INSERT INTO "inbox" VALUES(2,'m2','devops-agent','infrastructure_ready','c2',X'7B226E223A20327D',X'FCB7ECF22A686FDE527CAFA2DD308D1C321FF6D1BADDEDF24668AFBBA85A7D64',NULL,1767603600000000,'dead',1,NULL,2,NULL,1767603600000000);
INSERT INTO "inbox" VALUES(3,'m3','devops-agent','infrastructure_ready','c3',X'7B226E223A20337D',X'389D42D9A5766A33E43C9A95FE1E7555F2896AB790B0EC7E2C9DD552B9D4A44A',NULL,1767603600000000,'ready',1,1767603610000000,3,NULL,NULL);
INSERT INTO "inbox" VALUES(4,'m4','devops-agent','infrastructure_ready','c4',X'7B226E223A20347D',X'1E63F1E0517921EF775BA2563A04E00613BFA1A40333523A87480CBF126994E2',NULL,1767603600000000,'leased',1,NULL,4,1767603630000000,NULL);
INSERT INTO "inbox" VALUES(5,'m0','devops-agent','infrastructure_ready','c0',X'7B7D',X'44136FA355B3678A1146AD16F7E8649E94FB4FC21FE77E8310C060F61CAAFF8A',NULL,1767603600000000,'done',1,NULL,5,NULL,1767603601000000);
CREATE TABLE outbox(
                seq INTEGER PRIMARY KEY AUTOINCREMENT,
                message_id TEXT NOT NULL UNIQUE,
                receiver TEXT NOT NULL,
                type TEXT NOT NULL,
                conversation_id TEXT NOT NULL,
                body BLOB NOT NULL,
                created_at INTEGER NOT NULL,
                causation_id TEXT,
                reply_to TEXT,
                traceparent TEXT,
                state TEXT NOT NULL DEFAULT 'unsent' CHECK (state IN ('unsent', 'sent', 'abandoned')),
                attempts INTEGER NOT NULL DEFAULT 0,
                not_before INTEGER,
                error TEXT,
                ended_at INTEGER,
                CHECK ((state = 'unsent') = (ended_at IS NULL))
            ) STRICT
            ;
INSERT INTO "outbox" VALUES(1,'o1','backend-agent','infrastructure_ready','proj-140',X'7B7D',1767603600000000,NULL,NULL,NULL,'sent',0,NULL,NULL,1767603600000000);
INSERT INTO "outbox" VALUES(2,'o2','backend-agent','infrastructure_ready','c1',X'7B7D',1767603600000000,NULL,NULL,NULL,'unsent',0,NULL,NULL,NULL);
CREATE TABLE owner(
                agent TEXT PRIMARY KEY, epoch INTEGER NOT NULL, fence INTEGER NOT NULL, opened_at INTEGER NOT NULL
            ) STRICT
            ;
INSERT INTO "owner" VALUES('devops-agent',1,5,1767603600000000);
CREATE TABLE rejection(
                body_hash TEXT NOT NULL,
                code TEXT NOT NULL,
                reason TEXT NOT NULL,
                times INTEGER NOT NULL,
                first_at INTEGER NOT NULL,
                last_at INTEGER NOT NULL,
                PRIMARY KEY (body_hash, code)
            ) STRICT, WITHOUT ROWID
            ;
INSERT INTO "rejection" VALUES('abababababababababababababababababababababababababababababababab','not_json','refused',1,1767603600000000,1767603600000000);
CREATE TABLE schema_version(number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT;
INSERT INTO "schema_version" VALUES(1,'ownership','9a1dc871070dbf3f63af39c27bcd54f1f7445960614718e095db69b117327951',1767603600000000);
INSERT INTO "schema_version" VALUES(2,'inbox','73af7bfdd3bbbdd29bb5bf87cfe2c0de7afa5bcb08e6ca7e1344460ea525989a',1767603600000000);
INSERT INTO "schema_version" VALUES(3,'outbox','4733d4c5428936a3f775149f28f8e373dff2a223f4110d40e27eece3435c9bf5',1767603600000000);
INSERT INTO "schema_version" VALUES(4,'workflows','665f55904acd5311d47676a6a3fe8fe0dba91a95df2589b7ae7a070fc62e1823',1767603600000000);
INSERT INTO "schema_version" VALUES(5,'approvals and effects','9759731c088c558a388c3f1ea3231b507be3ba04f600c22f23a2f438e4fb0916',1767603600000000);
INSERT INTO "schema_version" VALUES(6,'audit','930f7438eb3191705bbdf810dd15ddd1271f34be2fb0ac19a93a5f461f076d5e',1767603600000000);
CREATE TABLE seen(
                message_id TEXT PRIMARY KEY, body_hash BLOB NOT NULL, day INTEGER NOT NULL
            ) STRICT, WITHOUT ROWID
            ;
CREATE TABLE timer(
                conversation_id TEXT NOT NULL,
                name TEXT NOT NULL,
                due_at INTEGER NOT NULL,
                PRIMARY KEY (conversation_id, name)
            ) STRICT, WITHOUT ROWID
            ;
INSERT INTO "timer" VALUES('proj-140','reminder',1767603900000000);
CREATE TABLE workflow(
                id TEXT PRIMARY KEY,
                kind TEXT NOT NULL,
                version INTEGER NOT NULL CHECK (version >= 1),
                status TEXT NOT NULL,
                ended INTEGER NOT NULL CHECK (ended IN (0, 1)),
                state BLOB NOT NULL,
                updated_at INTEGER NOT NULL
            ) STRICT
            ;
INSERT INTO "workflow" VALUES('proj-140','change',1,'planned',0,X'7B7D',1767603601000000);
CREATE INDEX inbox_ready ON inbox(seq) WHERE state = 'ready';
CREATE INDEX inbox_open ON inbox(conversation_id, seq) WHERE state IN ('ready', 'leased');
CREATE INDEX inbox_leased ON inbox(conversation_id) WHERE state = 'leased';
CREATE INDEX inbox_lease_end ON inbox(lease_until) WHERE state = 'leased';
CREATE INDEX inbox_waiting ON inbox(not_before) WHERE state = 'ready' AND not_before IS NOT NULL;
CREATE INDEX inbox_dead ON inbox(seq) WHERE state = 'dead';
CREATE INDEX inbox_done ON inbox(ended_at) WHERE state = 'done';
CREATE VIEW inbox_head AS SELECT * FROM inbox AS head
            WHERE head.state = 'ready'
                AND NOT EXISTS (
                    SELECT 1 FROM inbox AS leased
                    WHERE leased.conversation_id = head.conversation_id AND leased.state = 'leased')
                AND NOT EXISTS (
                    SELECT 1 FROM inbox AS earlier
                    WHERE earlier.conversation_id = head.conversation_id AND earlier.state IN ('ready', 'leased')
                        AND earlier.seq < head.seq);
CREATE INDEX failure_of ON failure(seq);
CREATE INDEX outbox_unsent ON outbox(seq) WHERE state = 'unsent';
CREATE INDEX outbox_waiting ON outbox(not_before) WHERE state = 'unsent' AND not_before IS NOT NULL;
CREATE INDEX outbox_held ON outbox(conversation_id, receiver, seq)
            WHERE state = 'unsent' AND not_before IS NOT NULL
            ;
CREATE INDEX outbox_sent ON outbox(ended_at) WHERE state = 'sent';
CREATE INDEX workflow_open ON workflow(status) WHERE ended = 0;
CREATE INDEX timer_due ON timer(due_at);
CREATE INDEX approval_of ON approval(conversation_id);
CREATE UNIQUE INDEX approval_pending ON approval(conversation_id, subject, digest)
            WHERE state IN ('open', 'granted')
            ;
CREATE TRIGGER approval_terminal BEFORE UPDATE ON approval WHEN OLD.state IN ('used', 'denied', 'void')
            BEGIN SELECT RAISE(ABORT, 'a decided approval does not change'); END;
CREATE INDEX audit_of ON audit(conversation_id);
CREATE TRIGGER audit_kept BEFORE DELETE ON audit
            BEGIN SELECT RAISE(ABORT, 'the audit trail is only appended to'); END;
CREATE TRIGGER audit_unchanged BEFORE UPDATE ON audit
            BEGIN SELECT RAISE(ABORT, 'the audit trail is only appended to'); END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('inbox',5);
INSERT INTO "sqlite_sequence" VALUES('outbox',2);
COMMIT;
