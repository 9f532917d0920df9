package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"deploy/internal/hint"
)

// headFile is a second place for where the journal ends. An older copy of the database is whole in
// itself, and a deleted one says nothing: only this file tells of them.
const headFile = "journal.head"

// headSize is what the file is filled up to, in bytes. It is written in place with one write below
// the size of a disk's sector, so that it holds either the text before or the one after.
const headSize = 512

// head is the content of the file. It is written after each commit and not synced before the next,
// so it may be behind the database, and never before it.
type head struct {
	Format int `json:"format"`
	Identity
	Seq  int64  `json:"seq"` // 0: there is nothing yet, or the journal was forgotten on purpose
	Hash string `json:"hash,omitempty"`
	Sum  string `json:"sum"` // SHA-256 of all before it
}

func (h head) digest() string {
	var b bytes.Buffer
	for _, s := range []string{fmt.Sprint(h.Format), h.ID, h.Site, fmt.Sprint(h.Seq), h.Hash} {
		writeField(&b, s)
	}
	sum := sha256.Sum256(b.Bytes())
	return hex.EncodeToString(sum[:])
}

func (h head) bytes() ([]byte, error) {
	h.Format = 2
	h.Sum = h.digest()
	b, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	size := (len(b)/headSize + 1) * headSize
	b = append(b, bytes.Repeat([]byte(" "), size-1-len(b))...)
	return append(b, '\n'), nil
}

func headOf(m meta) head {
	return head{Identity: m.Identity, Seq: m.Seq, Hash: hex.EncodeToString(m.Hash)}
}

// readHead reads the file of dir; there is none when nothing was ever written from here, when the
// journal is of version 1, or when a person took it away to accept what stands beside it.
func readHead(dir string) (h head, found bool, err error) {
	path := filepath.Join(dir, headFile)
	for range 3 { // a reader may come in the middle of a write
		var b []byte
		b, err = os.ReadFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return head{}, false, nil
		case err != nil:
			return head{}, false, fmt.Errorf("cannot read %s: %w", path, err)
		case len(b) == 0: // made, and cut off before the first write
			return head{}, false, nil
		}
		h = head{}
		if json.Unmarshal(b, &h) == nil && h.Sum == h.digest() {
			return h, true, nil
		}
	}
	return head{}, false, hint.Wrap(&damagedError{headFile + " is damaged: nothing says whether " + dbFile +
		" is the newest one"}, "if it is no older copy, remove "+path+" and run again: it is made anew")
}

// knows refuses a database of a version from before there was such a file: it is an older copy.
func (h head) knows(dir string, version int) error {
	if h.Seq == 0 || version != 1 {
		return nil
	}
	path := filepath.Join(dir, headFile)
	what := fmt.Sprintf("%s is an older copy: it is of version 1, and entry %d was written here later", dbFile, h.Seq)
	return hint.Wrap(&damagedError{what}, "restore the newest one; if there is no newer one, "+
		"remove "+path+" and deploy continues from this one, without what came after it")
}

// agree holds the content of the database against the file.
func (h head) agree(dir string, c *content) error {
	if h.Seq == 0 {
		return nil
	}
	path := filepath.Join(dir, headFile)
	accept := "; if there is no newer one, remove " + path + " and deploy continues from this one, without what " +
		"came after it"
	if h.Identity != c.meta.Identity {
		return hint.Wrap(&damagedError{fmt.Sprintf("%s is another journal (%s) than the one that was written here (%s)",
			dbFile, c.meta.ID, h.ID)}, "restore the journal that belongs here from a backup"+accept)
	}
	if h.Seq > c.meta.Seq {
		return hint.Wrap(&damagedError{fmt.Sprintf("%s is an older copy: it ends with entry %d, and entry %d was written "+
			"here", dbFile, c.meta.Seq, h.Seq)}, "restore the newest one"+accept)
	}
	if hex.EncodeToString(c.hashes[h.Seq-1]) != h.Hash {
		return hint.Wrap(&damagedError{fmt.Sprintf("%s is a copy that went its own way: its entry %d is not the one that "+
			"was written here", dbFile, h.Seq)}, "restore the newest one that was written here"+accept)
	}
	return nil
}

// announce makes the file in a directory that holds nothing of deploy, before its lock and its
// database: so wherever a lock stands without a database and without this file, one was taken away.
func announce(dir string) error {
	for _, name := range []string{lockFile, dbFile, headFile} {
		// an empty database or an empty file of this kind was cut off before it held anything
		if fi, err := os.Lstat(filepath.Join(dir, name)); err == nil && (name == lockFile || fi.Size() > 0) {
			return nil
		}
	}
	return forget(dir)
}

// forget makes the file say that there is nothing to be missed.
func forget(dir string) error {
	f, err := openHead(dir)
	if err != nil {
		return err
	}
	if f.write(head{}) == nil { // close tells otherwise
		f.err = f.file.Truncate(headSize)
	}
	return f.close()
}

// absent says how the database is not there; "" when it is.
func absent(dir string) string {
	fi, err := os.Stat(filepath.Join(dir, dbFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return dbFile + " is not there"
	case err == nil && fi.Size() == 0:
		return dbFile + " is empty"
	}
	return ""
}

// missing says that a database that was here is gone. It is nil where there never was one.
func missing(dir, site, how string) error {
	h, found, err := readHead(dir)
	if err != nil {
		return err
	}
	if found && h.Seq == 0 {
		return nil
	}
	path := filepath.Join(dir, lockFile)
	if found {
		return hint.Wrap(&damagedError{fmt.Sprintf("the journal of site %s is missing: %s, and entry %d was written here",
			h.Site, how, h.Seq)}, "restore "+dbFile+" from a backup; without it deploy cannot know what it did here. To begin "+
			"anew all the same, remove "+filepath.Join(dir, headFile)+" and "+path)
	}
	if _, err := os.Stat(path); err != nil {
		return nil
	}
	if site == "" {
		site = "this directory"
	} else {
		site = "site " + site
	}
	return hint.Wrap(&damagedError{fmt.Sprintf("the journal of %s is missing: %s, and a lock says that deploy was at "+
		"work here", site, how)}, "restore "+dbFile+" from a backup; if nothing was applied from this state "+
		"directory, remove "+path)
}

// headWriter keeps the file open.
type headWriter struct {
	file *os.File
	err  error // of the last write
}

func openHead(dir string) (*headWriter, error) {
	f, err := os.OpenFile(filepath.Join(dir, headFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return &headWriter{file: f}, nil
}

// write puts h into the file. A failure must not fail the commit before it, which stands: the file
// is behind then, as after a kill, and close tells.
func (w *headWriter) write(h head) error {
	b, err := h.bytes()
	if err == nil {
		_, err = w.file.WriteAt(b, 0)
	}
	w.err = err
	return err
}

func (w *headWriter) close() error {
	err := w.err
	if err == nil {
		err = w.file.Sync()
	}
	if err != nil {
		err = fmt.Errorf("cannot note the journal's last entry in %s: %w", w.file.Name(), err)
	}
	return errors.Join(err, w.file.Close())
}
