-- A journal of format 1 with four runs, as swarmlet 0.1 wrote it before stores came in several kinds.
BEGIN TRANSACTION;
CREATE TABLE contents (digest TEXT PRIMARY KEY, content BLOB NOT NULL);
INSERT INTO "contents" VALUES('27f0405514cfbdb88629d2469836f436',X'2276616C75652031303222');
INSERT INTO "contents" VALUES('19604678193266579407f1054db4736e',X'2276616C75652032303122');
INSERT INTO "contents" VALUES('db95e6dba1ba4c21ec71d1ef3efc374c',X'2257686963683F22');
INSERT INTO "contents" VALUES('a2e1b7301492226460ee87ce7fd9a8ae',X'7B2274797065223A22737472696E67227D');
INSERT INTO "contents" VALUES('c662fad5330a79dbbfee39f06ab653fb',X'2276616C75652034303122');
CREATE TABLE events (
        seq INTEGER PRIMARY KEY, -- in the order in which they happened, over all runs
        run TEXT NOT NULL, kind TEXT NOT NULL, at REAL NOT NULL, path TEXT,
        event TEXT NOT NULL -- the whole event as JSON; `kind`, `at` and `path` repeat it for SQL
    );
INSERT INTO "events" VALUES(1,'0001-a','run_started',100.0,NULL,'{"at":100.0,"run":"0001-a","name":"solve","node":"app:solve","inputs":{},"version":"0","plan":null,"forked_from":null,"kind":"run_started"}');
INSERT INTO "events" VALUES(2,'0001-a','step_started',101.0,'solve/write','{"at":101.0,"path":"solve/write","node":"app:write","inputs":{},"waited":0.0,"reused":null,"kind":"step_started"}');
INSERT INTO "events" VALUES(3,'0001-a','call_ended',101.0,'solve/write','{"at":101.0,"path":"solve/write","turn":1,"attempt":1,"state":"finished","model":"","input_tokens":100,"cached_tokens":40,"output_tokens":10,"usd":"0.0001","saved_usd":null,"unknown_cost":false,"finish_reason":null,"reply":null,"request_id":null,"first_token":null,"error":null,"retry_in":null,"kind":"call_ended"}');
INSERT INTO "events" VALUES(4,'0001-a','noted',102.0,'solve/step','{"at":102.0,"path":"solve/step","message":"102 27f0405514cfbdb88629d2469836f436","kind":"noted"}');
INSERT INTO "events" VALUES(5,'0001-a','run_ended',103.0,NULL,'{"at":103.0,"state":"finished","output":null,"type":"","error":null,"failed":[],"kind":"run_ended"}');
INSERT INTO "events" VALUES(6,'0002-b','run_started',200.0,NULL,'{"at":200.0,"run":"0002-b","name":"other","node":"app:other","inputs":{},"version":"0","plan":null,"forked_from":null,"kind":"run_started"}');
INSERT INTO "events" VALUES(7,'0002-b','noted',201.0,'solve/step','{"at":201.0,"path":"solve/step","message":"201 19604678193266579407f1054db4736e","kind":"noted"}');
INSERT INTO "events" VALUES(8,'0002-b','run_ended',202.0,NULL,'{"at":202.0,"state":"failed","output":null,"type":"","error":null,"failed":[],"kind":"run_ended"}');
INSERT INTO "events" VALUES(9,'0003-c','run_started',300.0,NULL,'{"at":300.0,"run":"0003-c","name":"solve","node":"app:solve","inputs":{},"version":"0","plan":null,"forked_from":null,"kind":"run_started"}');
INSERT INTO "events" VALUES(10,'0003-c','asked',301.0,'solve/ask','{"at":301.0,"path":"solve/ask","about":"answer","question":"db95e6dba1ba4c21ec71d1ef3efc374c","answers":"a2e1b7301492226460ee87ce7fd9a8ae","tool":"","arguments":null,"until":null,"kind":"asked"}');
INSERT INTO "events" VALUES(11,'0003-c','run_ended',302.0,NULL,'{"at":302.0,"state":"suspended","output":null,"type":"","error":null,"failed":[],"kind":"run_ended"}');
INSERT INTO "events" VALUES(12,'0004-d','run_started',400.0,NULL,'{"at":400.0,"run":"0004-d","name":"solve","node":"app:solve","inputs":{},"version":"0","plan":null,"forked_from":null,"kind":"run_started"}');
INSERT INTO "events" VALUES(13,'0004-d','noted',401.0,'solve/step','{"at":401.0,"path":"solve/step","message":"401 c662fad5330a79dbbfee39f06ab653fb","kind":"noted"}');
CREATE TABLE runs (
        run TEXT PRIMARY KEY, name TEXT NOT NULL, node TEXT NOT NULL, version TEXT NOT NULL,
        started REAL NOT NULL,
        -- from here on kept up to date with the events, so that listing runs reads no events
        last REAL NOT NULL, state TEXT NOT NULL, steps INTEGER NOT NULL, requests INTEGER NOT NULL,
        input_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
        usd TEXT NOT NULL, unpriced_requests INTEGER NOT NULL
    ) WITHOUT ROWID
    ;
INSERT INTO "runs" VALUES('0001-a','solve','app:solve','0',100.0,103.0,'finished',1,1,100,40,10,'0.0001',0);
INSERT INTO "runs" VALUES('0002-b','other','app:other','0',200.0,202.0,'failed',0,0,0,0,0,'0',0);
INSERT INTO "runs" VALUES('0003-c','solve','app:solve','0',300.0,302.0,'suspended',0,0,0,0,0,'0',0);
INSERT INTO "runs" VALUES('0004-d','solve','app:solve','0',400.0,401.0,'running',0,0,0,0,0,'0',0);
CREATE INDEX runs_by_start ON runs (started);
CREATE INDEX events_by_run ON events (run);
COMMIT;
PRAGMA application_id = 1398230100;
PRAGMA user_version = 1;
