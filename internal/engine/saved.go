package engine

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"deploy/internal/hint"
	"deploy/steps"
)

const planAgain = "plan again, review it and apply it: deploy plan -o FILE SITE"

// CanSave says whether a plan could be written to path, before a node is asked anything.
func CanSave(path string) error {
	dir := filepath.Dir(path)
	switch info, err := os.Stat(dir); {
	case errors.Is(err, os.ErrNotExist):
		return hint.Wrap(fmt.Errorf("cannot save the plan: %s is not there", dir), "make the directory, or name another file")
	case err != nil:
		return fmt.Errorf("cannot save the plan: %w", err)
	case !info.IsDir():
		return hint.Wrap(fmt.Errorf("cannot save the plan: %s is not a directory", dir), "name another file")
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return hint.Wrap(fmt.Errorf("cannot save the plan: %s is a directory", path), "name a file in it")
	}
	return nil
}

// Save writes the plan and the digest over all of it to a file, whole or not at all.
func (p *Plan) Save(path string) error {
	if err := CanSave(path); err != nil {
		return err
	}
	p.Digest = ""
	b, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("cannot encode the plan: %w", err)
	}
	if p.Digest, err = planDigest(b); err != nil {
		return fmt.Errorf("cannot encode the plan: %w", err)
	}
	if b, err = json.MarshalIndent(p, "", "  "); err != nil {
		return fmt.Errorf("cannot encode the plan: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("cannot save the plan: %w", err)
	}
	_, err = tmp.Write(append(b, '\n'))
	if err == nil {
		err = tmp.Sync()
	}
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("cannot save the plan: %w", err), os.Remove(tmp.Name()))
	}
	return nil
}

// LoadPlan reads a plan that Save wrote. It refuses one of which anything but spaces was changed
// since: people have read the file, and what they have read is what is done. The digest holds off
// mistakes and edits; it is no signature against somebody who makes a new one.
func LoadPlan(path string) (*Plan, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the plan: %w", err)
	}
	return parsePlan(path, b)
}

func parsePlan(path string, b []byte) (*Plan, error) {
	var head struct {
		Format int    `json:"format"`
		Digest string `json:"digest"`
	}
	if err := json.Unmarshal(b, &head); err != nil || head.Format == 0 {
		return nil, hint.Wrap(fmt.Errorf("cannot read the plan %s: it is not a deploy plan", path),
			"create one with deploy plan -o FILE SITE")
	}
	switch {
	case head.Format < PlanFormat:
		return nil, hint.Wrap(fmt.Errorf("cannot use the plan %s: an older deploy made it (format %d, this program has %d)",
			path, head.Format, PlanFormat), planAgain)
	case head.Format > PlanFormat:
		return nil, hint.Wrap(fmt.Errorf("cannot use the plan %s: a newer deploy made it (format %d, this program has %d)",
			path, head.Format, PlanFormat), planAgain)
	}
	if head.Digest == "" {
		return nil, hint.Wrap(fmt.Errorf("cannot use the plan %s: it has no digest, so it was changed, or not saved with -o",
			path), planAgain)
	}
	if digest, err := planDigest(b); err != nil || digest != head.Digest {
		return nil, hint.Wrap(fmt.Errorf("cannot use the plan %s: it was changed after it was made", path), planAgain)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber() // a number must keep its digits, or the plan would differ from itself
	dec.DisallowUnknownFields()
	var p Plan
	if err := dec.Decode(&p); err != nil {
		return nil, fmt.Errorf("cannot read the plan %s: %w", path, err)
	}
	return &p, nil
}

// planDigest is the SHA-256, in hex, over the canonical form of a plan's JSON without its digest:
// keys in order, no spaces, numbers with their digits.
func planDigest(plan []byte) (string, error) {
	dec := json.NewDecoder(bytes.NewReader(plan))
	dec.UseNumber()
	v, err := readJSON(dec, 0)
	if err != nil {
		return "", err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return "", errors.New("something follows the plan")
	}
	m, ok := v.(map[string]any)
	if !ok {
		return "", errors.New("a plan is an object")
	}
	delete(m, "digest")
	sum := sha256.Sum256(steps.MustJSON(m))
	return hex.EncodeToString(sum[:]), nil
}

// readJSON reads one value. Unlike the decoder it refuses a key that stands twice, of which a
// reader may see the other one, and what is nested deeper than any plan.
func readJSON(dec *json.Decoder, depth int) (any, error) {
	const deepest = 200
	if depth > deepest {
		return nil, errors.New("nested too deeply")
	}
	tok, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch tok {
	case json.Delim('{'):
		m := map[string]any{}
		for dec.More() {
			key, err := dec.Token()
			if err != nil {
				return nil, err
			}
			name, _ := key.(string) // the decoder lets nothing else stand there
			if _, twice := m[name]; twice {
				return nil, fmt.Errorf("%q occurs twice", name)
			}
			if m[name], err = readJSON(dec, depth+1); err != nil {
				return nil, err
			}
		}
		_, err = dec.Token()
		return m, err
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			v, err := readJSON(dec, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = dec.Token()
		return list, err
	}
	return tok, nil
}
