package journal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"deploy/internal/hint"
)

// row is an entry as the file holds it. What is hashed are these texts, not what is made of them,
// so that a bit that would be read the same (a time written otherwise) is seen as well.
type row struct {
	seq                                 int64
	time, run, kind, phase, task, place string
	data                                sql.NullString
	hash                                []byte
}

// chained is the hash of a row in its chain: SHA-256 over the hash before and every field. Each
// field is preceded by its length, so that no two rows give the same bytes.
func chained(before []byte, r row) []byte {
	var b bytes.Buffer
	b.Write(before)
	b.Write(binary.BigEndian.AppendUint64(nil, uint64(r.seq)))
	for _, s := range []string{r.time, r.run, r.kind, r.phase, r.task, r.place} {
		writeField(&b, s)
	}
	if r.data.Valid {
		writeField(&b, r.data.String)
	}
	sum := sha256.Sum256(b.Bytes())
	return sum[:]
}

func writeField(b *bytes.Buffer, s string) {
	b.Write(binary.BigEndian.AppendUint64(nil, uint64(len(s))))
	b.WriteString(s)
}

func (r row) entry() (Entry, error) {
	e := Entry{Seq: r.seq, Run: r.run, Kind: Kind(r.kind), Phase: r.phase, Task: r.task, Node: r.place}
	var err error
	if e.Time, err = time.Parse(time.RFC3339Nano, r.time); err != nil {
		return e, damaged("entry %d is damaged: its time is %q", r.seq, r.time)
	}
	if r.data.Valid {
		e.Data = json.RawMessage(r.data.String)
	}
	return e, nil
}

// damagedError says what is wrong with the content of a journal.
type damagedError struct{ text string }

func (e *damagedError) Error() string { return e.text }

// damagedHint is what a person can do about a journal that is not as it was written.
const damagedHint = "restore it from a backup; without it deploy cannot know what it did here"

func damaged(format string, args ...any) error {
	return hint.Wrap(&damagedError{fmt.Sprintf(format, args...)}, damagedHint)
}

// content is everything that a journal's file holds, as one transaction sees it.
type content struct {
	meta    meta
	entries []Entry
	hashes  [][]byte // of the entries; nil from version 1
}

// load reads the whole file of a version and holds it against its chain. Version 1 has none: only
// its numbers and times can be looked at.
func load(ctx context.Context, tx *sql.Tx, version int) (*content, error) {
	c := &content{entries: []Entry{}}
	var err error
	if version > 1 {
		if c.meta, err = readMeta(ctx, tx); err != nil {
			return nil, err
		}
	}
	before := c.meta.root()
	err = eachRow(ctx, tx, version, func(r row) error {
		if err := inOrder(int64(len(c.entries))+1, r.seq); err != nil {
			return err
		}
		if version > 1 {
			if before, err = c.meta.next(before, r); err != nil {
				return err
			}
			c.hashes = append(c.hashes, before)
		}
		e, err := r.entry()
		if version == 1 && e.Kind == RunStart && c.meta.ID == "" {
			// agents know this journal by its first run: their records are filed under it
			c.meta.ID = e.Run
		}
		c.entries = append(c.entries, e)
		return err
	})
	if err == nil && version > 1 {
		err = c.meta.ends(int64(len(c.entries)), before)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

func eachRow(ctx context.Context, tx *sql.Tx, version int, do func(row) error) error {
	hash := "hash"
	if version < 2 {
		hash = "NULL"
	}
	rows, err := tx.QueryContext(ctx,
		`SELECT seq, time, run, kind, phase, task, node, data, `+hash+` FROM entries ORDER BY seq`)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for n := 1; rows.Next(); n++ {
		var r row
		if err := rows.Scan(&r.seq, &r.time, &r.run, &r.kind, &r.phase, &r.task, &r.place, &r.data, &r.hash); err != nil {
			return damaged("entry %d is damaged: %v", n, err)
		}
		if err := do(r); err != nil {
			return err
		}
	}
	return rows.Err()
}

// inOrder compares the number of an entry with the one that is due.
func inOrder(due, seq int64) error {
	switch {
	case seq == due:
		return nil
	case seq == due+1:
		return damaged("entry %d is missing", due)
	case seq > due:
		return damaged("entries %d to %d are missing", due, seq-1)
	}
	return damaged("got entry %d, expected %d", seq, due)
}

// next verifies the row that follows in the chain and returns its hash.
func (m meta) next(before []byte, r row) ([]byte, error) {
	if r.seq > m.Seq {
		return nil, damaged("entry %d was not written by deploy: the last one that it wrote is %d", r.seq, m.Seq)
	}
	hash := chained(before, r)
	if !bytes.Equal(hash, r.hash) {
		return nil, damaged("entry %d is damaged: it is not what was written", r.seq)
	}
	return hash, nil
}

// ends verifies that the last row is the one that was written last.
func (m meta) ends(seq int64, hash []byte) error {
	if err := inOrder(seq+1, m.Seq+1); err != nil {
		return err
	}
	if !bytes.Equal(hash, m.Hash) {
		return damaged("entry %d is not the one that was written last", m.Seq)
	}
	return nil
}

// seal gives every row of version 1 its hash. What stands there is taken as it is; from here on it
// cannot change unseen.
func seal(ctx context.Context, tx *sql.Tx, site string) error {
	c, err := load(ctx, tx, 1)
	if err != nil {
		return err
	}
	var rows []row // all of them first: they are changed below
	if err := eachRow(ctx, tx, 1, func(r row) error { rows = append(rows, r); return nil }); err != nil {
		return err
	}
	m := meta{Identity: Identity{ID: c.meta.ID, Site: site}, Sealed: int64(len(rows)), Seq: int64(len(rows))}
	if m.ID == "" {
		m.ID = newID()
	}
	m.Hash = m.root()
	for _, r := range rows {
		m.Hash = chained(m.Hash, r)
		if _, err := tx.ExecContext(ctx, `UPDATE entries SET hash = ? WHERE seq = ?`, m.Hash, r.seq); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO meta (one, journal, site, sealed, seq, hash, sum) VALUES (1, ?, ?, ?, ?, ?, ?)`,
		m.ID, m.Site, m.Sealed, m.Seq, m.Hash, m.sum())
	return err
}
