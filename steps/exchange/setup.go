package exchange

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/node"
	"deploy/steps/cluster/clus"
	"deploy/steps/inspect"
)

// Where setup leaves its traces.
const (
	setupLog = `C:\ExchangeSetupLogs\ExchangeSetup.log`
	roleRoot = `HKLM\SOFTWARE\Microsoft\Exchange\v8.0`
	setupKey = `HKLM\SOFTWARE\Microsoft\Exchange\Setup` // MsiInstallPath: where the product is
	markRoot = `HKLM\SOFTWARE\deploy`
)

// logLimit is the most of setup's log that is read: real ones have a few megabytes.
const logLimit = 32 << 20

// jobID names a setup run: the same wish has the same name, so that a run that was cut finds it
// again.
func jobID(what string, words ...string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(strings.Join(words, "\x00"))))
	return "exchange-" + what + "-" + hex.EncodeToString(sum[:6])
}

// runSetup runs setup.com as a job. It succeeded only when its exit code and its log both say so;
// what it was to bring about is the caller's to look at.
func runSetup(ctx context.Context, n node.Node, id, setup, as string, args ...string) error {
	st, err := clus.RunJob(ctx, n, id, node.Cmd{Argv: append([]string{setup}, args...), As: as})
	if err != nil {
		return err
	}
	what := "setup.com " + strings.Join(args, " ")
	if st.Code != 0 {
		failed := clus.JobError(what, st)
		if why := lastErrors(ctx, n); why != "" {
			failed.Text = why // the log says it better than the last line on the screen
		}
		return hint.Wrap(fmt.Errorf("cannot finish setup on %s: %w", n.Facts().Computer, failed), setupHint(ctx, n))
	}
	return logAgrees(ctx, n, what)
}

// setupHint tells what a person can do about a setup that failed.
func setupHint(ctx context.Context, r node.Reader) string {
	if reasons, _, err := inspect.PendingReboot(ctx, r); err == nil && len(reasons) > 0 {
		return "a restart of " + r.Facts().Computer + " is due (" + strings.Join(reasons,
			", ") + "), and setup does not work before it: restart the machine, then run again"
	}
	return "read " + setupLog + " on the node, mend what it says, and run again: setup goes on where it stopped"
}

// logAgrees reads the part of the log that the last run wrote. The log is in English on every
// system. Source: structure of the log of the same setup framework in later versions; for 2007
// UNCONFIRMED in details.
func logAgrees(ctx context.Context, r node.Reader, what string) error {
	text, err := lastRun(ctx, r)
	if err != nil {
		return hint.Wrap(fmt.Errorf("cannot tell whether %s worked on %s: %w", what, r.Facts().Computer, err),
			"setup writes its log there: look whether the drive has room, then run again")
	}
	if strings.Contains(text, "[ERROR]") {
		return hint.Wrap(fmt.Errorf("%s ended with exit code 0 on %s, but its log holds errors: %s", what, r.Facts().Computer,
			firstError(text)), "read "+setupLog+" on the node")
	}
	if !strings.Contains(text, "End of Setup") {
		return hint.Wrap(fmt.Errorf("%s ended with exit code 0 on %s, but its log has no end", what, r.Facts().Computer),
			"read "+setupLog+" on the node")
	}
	return nil
}

func lastRun(ctx context.Context, r node.Reader) (string, error) {
	f, err := r.Open(ctx, setupLog)
	if err != nil {
		return "", fmt.Errorf("cannot read %s: %w", setupLog, err)
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, logLimit))
	if err != nil {
		return "", fmt.Errorf("cannot read %s: %w", setupLog, err)
	}
	text := string(b)
	i := strings.LastIndex(text, "Starting Microsoft Exchange Server")
	if i < 0 {
		return "", fmt.Errorf("%s holds no run of setup", setupLog)
	}
	return text[i:], nil
}

func lastErrors(ctx context.Context, r node.Reader) string {
	text, err := lastRun(ctx, r)
	if err != nil {
		return ""
	}
	return firstError(text)
}

// firstError gives the first error line of a run, for people.
func firstError(text string) string {
	for _, l := range strings.Split(text, "\n") {
		if i := strings.Index(l, "[ERROR]"); i >= 0 {
			return strings.TrimSpace(l[i+len("[ERROR]"):])
		}
	}
	return ""
}

// A mark is a registry key that says that a setup run is ours: without it a half-finished setup is
// somebody else's.

func markKey(id string) string { return markRoot + `\Setup\` + id }

func marked(ctx context.Context, r node.Reader, id string) (bool, error) {
	return keyThere(ctx, r, markKey(id))
}

// anyMark says whether a setup run of ours whose id begins so is under way.
func anyMark(ctx context.Context, r node.Reader, prefix string) (bool, error) {
	rows, err := r.Query(ctx, node.RegistryKeys{Key: markRoot + `\Setup`})
	if errors.Is(err, node.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("cannot read registry key %s: %w", markRoot+`\Setup`, err)
	}
	for _, row := range rows {
		if strings.HasPrefix(row.String("name"), prefix) {
			return true, nil
		}
	}
	return false, nil
}

func keyThere(ctx context.Context, r node.Reader, key string) (bool, error) {
	_, err := r.Query(ctx, node.Registry{Key: key})
	if errors.Is(err, node.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("cannot read registry key %s: %w", key, err)
	}
	return true, nil
}

func mark(ctx context.Context, n node.Node, id, what string) error {
	if _, err := n.Do(ctx, node.RegistrySet{Key: markKey(id), Name: "What", Type: "string", Data: what}); err != nil {
		return fmt.Errorf("cannot write registry key %s: %w", markKey(id), err)
	}
	return nil
}

// unmark removes the mark, and what a job of a cut run left on the node.
func unmark(ctx context.Context, n node.Node, id string) error {
	if _, err := n.Job(ctx, id); err == nil {
		if _, err := n.Do(ctx, node.JobRemove{ID: id}); err != nil {
			return fmt.Errorf("cannot forget job %s on %s: %w", id, n.Facts().Computer, err)
		}
	} else if !errors.Is(err, node.ErrNotFound) {
		return fmt.Errorf("cannot look for job %s on %s: %w", id, n.Facts().Computer, err)
	}
	return dropKey(ctx, n, markKey(id))
}

// dropKey removes a key below markRoot, with the parents that would be empty then, markRoot
// included. It is one request, so that nothing is left when the link breaks.
func dropKey(ctx context.Context, n node.Node, key string) error {
	for key != markRoot {
		up := key[:strings.LastIndexByte(key, '\\')]
		subs, err := n.Query(ctx, node.RegistryKeys{Key: up})
		if errors.Is(err, node.ErrNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot read registry key %s: %w", up, err)
		}
		values, err := n.Query(ctx, node.Registry{Key: up})
		if err != nil && !errors.Is(err, node.ErrNotFound) {
			return fmt.Errorf("cannot read registry key %s: %w", up, err)
		}
		if len(values) > 0 || slices.ContainsFunc(subs,
			func(r node.Row) bool { return !strings.EqualFold(r.String("name"), key[len(up)+1:]) }) {
			break
		}
		key = up
	}
	if _, err := n.Do(ctx, node.RegistryDeleteKey{Key: key}); err != nil {
		return fmt.Errorf("cannot delete registry key %s: %w", key, err)
	}
	return nil
}
