package winenodes

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// buildTime bounds the building of the tree and the prefix, the waiting for another process that
// builds them included.
const buildTime = 15 * time.Minute

// suite is the Debian release that Wine is taken from.
const suite = "trixie"

// mirror serves Debian's packages.
const mirror = "http://deb.debian.org/debian"

// user is who runs Windows' programs: nobody. With root's rights Wine would show files as writable
// that are not.
const user, group, userID = "nobody", "nogroup", 65534

// finishTree makes the places that a changed root needs. $1 is the tree.
const finishTree = `set -eu
mkdir -p "$1/wine" "$1/home" "$1/source" "$1/bin-under-test"
rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/*
`

// makePrefix runs in the tree, as the user, and leaves a prefix in /wine. Without the Graphics
// value Wine complains on stderr that there is no display. The product's name is a server's: that
// is what steps are written for.
const makePrefix = `set -eu
w=/usr/lib/wine/wine64
$w wineboot -i
$w reg add 'HKCU\Software\Wine\Drivers' /v Graphics /d null /f
$w reg add 'HKLM\Software\Microsoft\Windows NT\CurrentVersion' /v ProductName /d 'Windows Server 2019 Standard' /f
/usr/lib/wine/wineserver64 -k -w || true
test -s /wine/system.reg
`

//go:embed data/product.wxs
var product []byte

// base is what every use stands on.
type base struct {
	tree   string // root of the Debian tree
	prefix string // prepared prefix, owned by the user
}

func digest(parts ...string) string {
	h := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(h[:])[:16]
}

// CacheDir is where the tree is kept: DEPLOY_WINE_CACHE, or deploy-wine in the user's cache
// directory.
func CacheDir() (string, error) {
	if dir := os.Getenv("DEPLOY_WINE_CACHE"); dir != "" {
		return dir, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("cannot find a place for the Wine tree: %w", err)
	}
	return filepath.Join(cache, "deploy-wine"), nil
}

// prepare returns the tree and the prefix, and builds what is missing.
func prepare(ctx context.Context, cache string) (base, error) {
	ctx, cancel := context.WithTimeout(ctx, buildTime)
	defer cancel()
	treeName := "tree-" + digest(suite, mirror, finishTree)
	b := base{tree: filepath.Join(cache, treeName),
		prefix: filepath.Join(cache, "prefix-"+digest(treeName, makePrefix, string(product)))}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return b, err
	}
	if err := once(ctx, b.tree, func(temp string) error { return buildTree(ctx, temp) }); err != nil {
		return b, fmt.Errorf("cannot build the Wine tree: %w", err)
	}
	if err := once(ctx, b.prefix, func(temp string) error { return buildPrefix(ctx, b.tree, temp) }); err != nil {
		return b, fmt.Errorf("cannot prepare a Wine prefix: %w", err)
	}
	return b, nil
}

// once builds a directory under a temporary name and renames it, one process at a time.
func once(ctx context.Context, final string, build func(temp string) error) error {
	if _, err := os.Stat(final); err == nil {
		return nil
	}
	lock := flock.New(final + ".lock")
	if ok, err := lock.TryLockContext(ctx, 200*time.Millisecond); !ok {
		return fmt.Errorf("cannot lock %s: %w", final, err)
	}
	defer func() { _ = lock.Unlock() }()
	if _, err := os.Stat(final); err == nil {
		return nil
	}
	// the lock is ours: whatever stands under the temporary name is of a process that was killed
	temp := final + ".new"
	if err := os.RemoveAll(temp); err != nil {
		return err
	}
	if err := build(temp); err != nil {
		return err
	}
	return os.Rename(temp, final)
}

func buildTree(ctx context.Context, temp string) error {
	keyring := "/usr/share/keyrings/debian-archive-" + suite + "-stable.gpg"
	args := []string{"--quiet", "--mode=root", "--variant=minbase", "--format=directory", "--include=wine,wine64",
		"--aptopt=APT::Install-Recommends \"false\"",
		"--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
		"--dpkgopt=path-exclude=/usr/share/locale/*", "--customize-hook=" + finishTree}
	if _, err := os.Stat(keyring); err == nil { // else apt's own keys must do
		args = append(args, "--keyring="+keyring)
	}
	cmd := exec.CommandContext(ctx, "mmdebstrap", append(args, suite, temp, mirror)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive")
	return runQuietly(cmd)
}

func buildPrefix(ctx context.Context, tree, temp string) error {
	if err := os.MkdirAll(temp, 0o755); err != nil {
		return err
	}
	if err := os.Chown(temp, userID, userID); err != nil {
		return err
	}
	v := view{base: base{tree: tree}, prefix: temp}
	if err := runQuietly(v.command(ctx, "/", nil, "/bin/sh", "-c", makePrefix)); err != nil {
		return err
	}
	return buildProduct(ctx, filepath.Join(temp, "drive_c", "media"))
}

// buildProduct makes the Windows Installer package that package steps install. It carries its own
// description as the file.
func buildProduct(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	source := filepath.Join(dir, "product.wxs")
	if err := os.WriteFile(source, product, 0o644); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "wixl", "--arch", "x64", "--output", "product.msi", "product.wxs")
	cmd.Dir = dir
	if err := runQuietly(cmd); err != nil {
		return err
	}
	if err := os.Remove(source); err != nil {
		return err
	}
	return filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, userID, userID))
	})
}

// runQuietly runs a command and shows what it printed when it fails.
func runQuietly(cmd *exec.Cmd) error {
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Run(); err != nil {
		text := log.String()
		return fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Path), err, text[max(0, len(text)-3000):])
	}
	return nil
}
