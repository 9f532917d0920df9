package cli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"deploy/internal/hint"
	"deploy/internal/secret"
	"deploy/inventory"
)

// credential is a site's credential with its secrets found.
type credential struct {
	user       string
	password   secret.Value
	passphrase secret.Value
	keyFile    string
	agent      bool
}

// credentials finds every secret that the site names, once, before anything is touched.
func (a *App) credentials(ctx context.Context, l *loaded, f siteFlags) (map[string]credential, error) {
	resolver := secret.NewResolver(filepath.Dir(l.site.Path), func(ctx context.Context, question string) (string, error) {
		if a.ReadPassword == nil {
			return "", errors.New("there is no terminal")
		}
		fmt.Fprintf(a.Stderr, "%s: ", strings.TrimSuffix(question, ":"))
		defer fmt.Fprintln(a.Stderr)
		return a.ReadPassword(ctx)
	})
	resolver.LookupEnv = func(name string) (string, bool) { v := a.Env(name); return v, v != "" }
	out := map[string]credential{}
	var errs []error
	for name, c := range l.site.Credentials {
		r := credential{user: c.Username, keyFile: c.KeyFile, agent: c.Agent}
		if r.keyFile != "" && !filepath.IsAbs(r.keyFile) && !strings.HasPrefix(r.keyFile, "~") {
			r.keyFile = filepath.Join(filepath.Dir(l.site.Path), r.keyFile)
		}
		var err error
		if r.password, err = a.secretOf(ctx, resolver, c, f, l); err != nil {
			errs = append(errs, hint.Wrap(fmt.Errorf("cannot get the password of credential %q: %w", name, err), hint.Of(err)))
			continue
		}
		if !c.Passphrase.IsZero() {
			if r.passphrase, err = resolver.Resolve(ctx, c.Passphrase); err != nil {
				errs = append(errs, fmt.Errorf("cannot get the passphrase of credential %q: %w", name, err))
				continue
			}
		}
		a.redact.Add(r.password)
		a.redact.Add(r.passphrase)
		out[name] = r
	}
	return out, errors.Join(errs...)
}

// secretOf finds one password. In the lab a password that is nowhere to be found is made up, so
// that a newcomer needs no setup: the lab's machines accept whatever their site says.
func (a *App) secretOf(ctx context.Context, r *secret.Resolver, c inventory.Credential, f siteFlags,
	l *loaded) (secret.Value, error) {
	if c.Password.IsZero() {
		return secret.Value{}, nil
	}
	if f.lab && c.Password.Env != "" && a.Env(c.Password.Env) == "" {
		return labPassword(l.labDir())
	}
	return r.Resolve(ctx, c.Password)
}

// labPassword is made once for a lab and kept beside its machines, so that a lab that is already up
// can be joined.
func labPassword(dir string) (secret.Value, error) {
	file := filepath.Join(dir, "password")
	data, err := os.ReadFile(file)
	if err == nil {
		return secret.New(strings.TrimSpace(string(data))), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return secret.Value{}, err
	}
	var b [16]byte
	_, _ = rand.Read(b[:])
	text := "Lab-" + hex.EncodeToString(b[:])
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return secret.Value{}, err
	}
	if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
		return secret.Value{}, err
	}
	return secret.New(text), nil
}
