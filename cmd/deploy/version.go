package main

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"runtime/debug"
	"strings"
)

// version tells builds apart: a saved plan holds for the program that made it. Two builds of one commit may differ in what was not
// committed, and a build need not know its commit at all, so the executable's own digest is part of it.
func version() string {
	v := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		v = strings.Trim(info.Main.Version, "()")
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v = s.Value[:min(12, len(s.Value))]
			}
		}
	}
	sum, err := executableDigest()
	if err != nil {
		return v
	}
	return v + "+" + sum[:12]
}

// executableDigest is the SHA-256 of the program that runs, in hex.
func executableDigest() (string, error) {
	f, err := os.Open("/proc/self/exe") // on Linux the program itself, also when its file was replaced meanwhile
	if err != nil {
		path, err := os.Executable()
		if err != nil {
			return "", err
		}
		if f, err = os.Open(path); err != nil {
			return "", err
		}
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
