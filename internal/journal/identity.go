package journal

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"deploy/internal/hint"
)

// Identity tells a journal from every other. It is made with the journal and never changes.
type Identity struct {
	// ID is 128 random bits in hexadecimal. A journal from before there were such ids keeps what its
	// agents know it by, the id of its first run. It is "" only for a journal that does not exist
	// yet, or that is of version 1 and holds no run.
	ID string `json:"journal"`
	// Site is the name of the site; "" for a journal of version 1, which does not know it.
	Site string `json:"site"`
}

// meta is the one row of the table of that name: whose journal it is, and where its chain ends. The
// end is kept apart from the entries because entries that are missing at the end leave no gap.
type meta struct {
	Identity
	Sealed int64  // entries up to this number are of version 1; their hashes were made later
	Seq    int64  // the last entry
	Hash   []byte // and its hash
}

func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: see crypto/rand
	return hex.EncodeToString(b[:])
}

// root is the hash before the first entry. It binds the entries to the identity.
func (m meta) root() []byte {
	var b bytes.Buffer
	b.WriteString("deploy journal 2\n")
	writeField(&b, m.ID)
	writeField(&b, m.Site)
	b.Write(binary.BigEndian.AppendUint64(nil, uint64(m.Sealed)))
	sum := sha256.Sum256(b.Bytes())
	return sum[:]
}

// sum is the hash of the row itself.
func (m meta) sum() []byte {
	b := m.root()
	b = binary.BigEndian.AppendUint64(b, uint64(m.Seq))
	sum := sha256.Sum256(append(b, m.Hash...))
	return sum[:]
}

func readMeta(ctx context.Context, tx *sql.Tx) (meta, error) {
	var m meta
	var sum []byte
	err := tx.QueryRowContext(ctx, `SELECT journal, site, sealed, seq, hash, sum FROM meta WHERE one = 1`).
		Scan(&m.ID, &m.Site, &m.Sealed, &m.Seq, &m.Hash, &sum)
	if errors.Is(err, sql.ErrNoRows) || err == nil && !bytes.Equal(sum, m.sum()) {
		return m, damaged("the row that says whose journal it is and where it ends (table meta) is damaged")
	}
	return m, err
}

// of refuses the journal of another site.
func (i Identity) of(site string) error {
	if site == "" || i.Site == "" || i.Site == site {
		return nil
	}
	return hint.Wrap(fmt.Errorf("this journal is of site %s, not %s", i.Site, site),
		"give the state directory of site "+site+" (--state-dir), or the site file of "+i.Site)
}
