package journal

import (
	"context"
	"database/sql"
	"fmt"

	"deploy/internal/hint"
)

// migration brings a database from the version before it to its own: the first makes version 1 of
// an empty file.
type migration func(ctx context.Context, tx *sql.Tx) error

// migrations is the whole history of the layout. Entries are only ever added at its end; each keeps
// what stands in older files. The journal becomes that of site where its file does not say so yet.
func migrations(site string) []migration {
	return []migration{
		entriesTable,
		func(ctx context.Context, tx *sql.Tx) error { return chainColumn(ctx, tx, site) },
	}
}

const keepSame = `CREATE TRIGGER entries_same BEFORE UPDATE ON entries
	BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END`

// entriesTable makes the one table. The two triggers hold the promise of the package against every
// client of the file: what was written down is neither changed nor taken out.
func entriesTable(ctx context.Context, tx *sql.Tx) error {
	for _, q := range []string{
		`CREATE TABLE entries (
			seq   INTEGER PRIMARY KEY,
			time  TEXT NOT NULL,
			run   TEXT NOT NULL,
			kind  TEXT NOT NULL,
			phase TEXT NOT NULL,
			task  TEXT NOT NULL,
			node  TEXT NOT NULL,
			data  TEXT
		)`,
		`CREATE TRIGGER entries_keep BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END`,
		keepSame,
	} {
		if _, err := tx.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

// chainColumn adds the hashes and whose journal it is.
func chainColumn(ctx context.Context, tx *sql.Tx, site string) error {
	for _, q := range []string{
		`DROP TRIGGER IF EXISTS entries_same`,
		`ALTER TABLE entries ADD COLUMN hash BLOB`,
		`CREATE TABLE meta (
			one     INTEGER PRIMARY KEY CHECK (one = 1),
			journal TEXT NOT NULL,
			site    TEXT NOT NULL,
			sealed  INTEGER NOT NULL,
			seq     INTEGER NOT NULL,
			hash    BLOB NOT NULL,
			sum     BLOB NOT NULL
		)`,
	} {
		if _, err := tx.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	if err := seal(ctx, tx, site); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, keepSame)
	return err
}

// version reads the layout's version; an empty file has 0.
func version(ctx context.Context, db *sql.DB) (int, error) {
	var v int
	err := db.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&v)
	return v, err
}

// migrate brings the file up to the last of list, one transaction per version, so that a cut leaves
// a whole version.
func migrate(ctx context.Context, db *sql.DB, list []migration) error {
	v, err := version(ctx, db)
	if err != nil {
		return err
	}
	if v > len(list) {
		return newerError(v, len(list))
	}
	for ; v < len(list); v++ {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		if err := list[v](ctx, tx); err != nil {
			_ = tx.Rollback()
			return fmt.Errorf("cannot migrate the journal to version %d: %w", v+1, err)
		}
		// a pragma takes no parameters; v is our own number
		if _, err := tx.ExecContext(ctx, fmt.Sprintf(`PRAGMA user_version = %d`, v+1)); err != nil {
			_ = tx.Rollback()
			return fmt.Errorf("cannot note the journal's version %d: %w", v+1, err)
		}
		if err := tx.Commit(); err != nil {
			return fmt.Errorf("cannot migrate the journal to version %d: %w", v+1, err)
		}
	}
	return nil
}

func newerError(have, know int) error {
	return hint.Wrap(fmt.Errorf("the journal has version %d, this program knows %d", have, know),
		"use the newer deploy that wrote it")
}
