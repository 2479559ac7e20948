-- Files that were taken in, once for each content. spared_until: not removed before, though no job uses it yet.
CREATE TABLE inputs (
    hash TEXT PRIMARY KEY,
    file TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    spared_until REAL NOT NULL
) STRICT;

-- Who keeps an input beside the jobs: an upload, told by its id.
CREATE TABLE holds (
    hash TEXT NOT NULL REFERENCES inputs (hash) ON DELETE CASCADE,
    holder TEXT NOT NULL,
    PRIMARY KEY (hash, holder)
) STRICT, WITHOUT ROWID;

CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('full', 'frame', 'clip')),
    batch TEXT,
    name TEXT NOT NULL,
    input_hash TEXT NOT NULL REFERENCES inputs (hash),
    options TEXT NOT NULL,
    moment_s REAL,
    output TEXT NOT NULL,

    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled', 'interrupted')),
    revision INTEGER NOT NULL DEFAULT 1,
    priority INTEGER NOT NULL,
    position INTEGER NOT NULL,

    -- The run under way. fence: grows with every claim; a write with an older one is refused.
    fence INTEGER NOT NULL DEFAULT 0,
    worker TEXT,
    lease_until REAL,
    stop_reason TEXT CHECK (stop_reason IN ('cancel', 'time_limit')),
    stop_at REAL,
    -- deaths: workers that died over it since it last got further. kept: pieces of work of this run.
    deaths INTEGER NOT NULL DEFAULT 0,
    kept INTEGER NOT NULL DEFAULT 0,

    -- ran_s: seconds of all runs; spent_s: those that count for the limit, since it was last granted.
    created_at REAL NOT NULL,
    started_at REAL,
    finished_at REAL,
    ran_s REAL NOT NULL DEFAULT 0,
    spent_s REAL NOT NULL DEFAULT 0,
    limit_s REAL,

    stage TEXT NOT NULL DEFAULT '',
    shot INTEGER NOT NULL DEFAULT 0,
    progress REAL NOT NULL DEFAULT 0,
    frames_done INTEGER NOT NULL DEFAULT 0,
    frames_total INTEGER NOT NULL DEFAULT 0,
    frames_per_s REAL,
    left_s REAL,
    memory_bytes INTEGER NOT NULL DEFAULT 0,
    peak_bytes INTEGER NOT NULL DEFAULT 0,
    notes TEXT NOT NULL DEFAULT '[]',

    facts TEXT,
    error TEXT,
    model TEXT NOT NULL DEFAULT '',
    plan TEXT NOT NULL DEFAULT '',
    version TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE INDEX jobs_by_turn ON jobs (state, priority, position);
CREATE INDEX jobs_by_owner ON jobs (owner, created_at);
CREATE INDEX jobs_by_batch ON jobs (batch) WHERE batch IS NOT NULL;
CREATE INDEX jobs_by_input ON jobs (input_hash);

CREATE VIEW queue AS
SELECT id, row_number() OVER (ORDER BY priority, position) AS place FROM jobs WHERE state = 'queued';

-- The server that has the data folder. Workers of an earlier one get no job.
CREATE TABLE server (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    name TEXT NOT NULL
) STRICT;

-- Processes that a server has started; the next one ends what a crash left over.
CREATE TABLE workers (
    pid INTEGER PRIMARY KEY,
    create_time REAL NOT NULL
) STRICT;

-- What devices were measured to do, for estimates.
CREATE TABLE rates (
    device TEXT NOT NULL,
    model TEXT NOT NULL,
    precision TEXT NOT NULL,
    rates TEXT NOT NULL,
    PRIMARY KEY (device, model, precision)
) STRICT, WITHOUT ROWID;
