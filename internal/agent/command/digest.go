package command

import (
	"encoding/json"
	"os"
	"path/filepath"
)

// digestFile is where a worker notes the digest of its program, in its private directory. Reading
// seven megabytes is most of what the start of an agent costs a node, and a run that changes
// nothing is little else.
const digestFile = "program"

// noted says which file had which digest.
type noted struct {
	Path   string `json:"path"`
	File   string `json:"file"` // identity: see fileIdentity
	Digest string `json:"digest"`
}

// digestOf is the digest of the program at path: what is noted in root when the file is the same
// since, else what read finds, which is noted. A note that cannot be read or written only costs
// time.
func digestOf(root, path string, read func() (string, error)) (string, error) {
	now := noted{Path: path}
	fi, err := os.Stat(path)
	if err == nil {
		now.File = fileIdentity(fi)
	}
	if now.File == "" {
		return read()
	}
	note := filepath.Join(root, digestFile)
	var then noted
	if text, err := os.ReadFile(note); err == nil && json.Unmarshal(text, &then) == nil && then.Path == now.Path &&
		then.File == now.File && then.Digest != "" {
		return then.Digest, nil
	}
	if now.Digest, err = read(); err != nil {
		return "", err
	}
	if text, err := json.Marshal(now); err == nil {
		temp := note + ".new"
		if os.WriteFile(temp, text, 0o600) == nil {
			_ = os.Rename(temp, note)
		}
	}
	return now.Digest, nil
}
