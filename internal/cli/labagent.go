package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"deploy/internal/agent"
	"deploy/internal/agent/client"
	"deploy/internal/lab"
	"deploy/internal/node"
)

// labPrograms is where the agent's program for the lab's machines lies.
func labPrograms(dir string) *client.Programs {
	return &client.Programs{Dirs: []string{filepath.Join(dir, "programs")}}
}

// labPlatform is what all of the lab's machines are.
func labPlatform() client.Platform { return client.Platform{OS: "windows", Arch: "amd64"} }

// LabAgent is the agent for the machines of a lab in dir. No emulated machine runs a real program,
// so what is placed there is a file that stands for one, different for every build; what a machine
// runs when it is started is the agent of this process.
func (a *App) LabAgent(dir string) (*lab.Agent, error) {
	version := a.Version()
	program := labProgram(version)
	path := filepath.Join(dir, "programs", labPlatform().FileName())
	have, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot read the lab's agent: %w", err)
	}
	if !bytes.Equal(have, program) {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, program, 0o600)); err != nil {
			return nil, fmt.Errorf("cannot write the lab's agent: %w", err)
		}
	}
	sum := sha256.Sum256(program)
	digest := hex.EncodeToString(sum[:])
	return &lab.Agent{Digest: digest, ReadOnly: a.Registry.ReadOnly(),
		Start: func(root string, open func(context.Context, map[string]node.Credential) (node.Session, error)) lab.Worker {
			return agent.NewWorker(context.Background(),
				agent.Options{Kinds: a.Registry, Session: open, Root: root, Version: version,
					Digest: func() (string, error) { return digest, nil }})
		}}, nil
}

// labProgram is a file of a size that needs more than one message, and that packs badly, as
// programs do.
func labProgram(version string) []byte {
	const size = 100_000
	out := []byte("MZ\r\nThis is not a program. It represents the agent of deploy " + version +
		" on the lab's machines.\r\n\x1a")
	for block := sha256.Sum256(out); len(out) < size; block = sha256.Sum256(block[:]) {
		out = append(out, block[:]...)
	}
	return out
}
