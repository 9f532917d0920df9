package secret_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"deploy/internal/hint"
	"deploy/internal/secret"
)

const hidden = "Pa55 w0rd!"

func resolver() *secret.Resolver {
	return &secret.Resolver{
		Dir: "/site",
		LookupEnv: func(name string) (string, bool) {
			values := map[string]string{"PW": hidden, "EMPTY": "", "BLANK_AT_END": hidden + " \n"}
			v, ok := values[name]
			return v, ok
		},
		ReadFile: func(path string) ([]byte, error) {
			files := map[string]string{"/site/pw": hidden + "\r\n", "/etc/pw": hidden, "/site/two": hidden + "\n\n",
				"/site/none": "\n", "/site/latin": hidden + "\xe9", "/site/null": hidden + "\x00",
				"/site/large": strings.Repeat(hidden, 200_000)}
			if v, ok := files[path]; ok {
				return []byte(v), nil
			}
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		},
		Run: func(ctx context.Context, dir string, argv []string) ([]byte, error) {
			if argv[0] == "fail" {
				return []byte(hidden), errors.New("said " + hidden)
			}
			return []byte(hidden + "\n"), ctx.Err()
		},
		Prompt: func(_ context.Context, question string) (string, error) {
			if question == "fail" {
				return hidden, errors.New("the terminal is gone")
			}
			return hidden, nil
		},
	}
}

func TestResolve(t *testing.T) {
	for name, c := range map[string]struct {
		ref  secret.Ref
		want string
	}{
		"none":          {secret.Ref{}, ""},
		"env":           {secret.Ref{Env: "PW"}, hidden},
		"env as it is":  {secret.Ref{Env: "BLANK_AT_END"}, hidden + " \n"},
		"file":          {secret.Ref{File: "pw"}, hidden},
		"absolute file": {secret.Ref{File: "/etc/pw"}, hidden},
		"one line end":  {secret.Ref{File: "two"}, hidden + "\n"},
		"command":       {secret.Ref{Command: []string{"pass", "show"}}, hidden},
		"prompt":        {secret.Ref{Prompt: "Password:"}, hidden},
	} {
		v, err := resolver().Resolve(context.Background(), c.ref)
		if err != nil || v.Reveal() != c.want {
			t.Errorf("%s: %q, %v", name, v.Reveal(), err)
		}
	}
}

func TestResolveErrors(t *testing.T) {
	for name, c := range map[string]struct {
		ref      secret.Ref
		msg, tip string
	}{
		"env not set": {secret.Ref{Env: "NOPE"}, "environment variable NOPE is not set", "export NOPE="},
		"env empty":   {secret.Ref{Env: "EMPTY"}, "environment variable EMPTY is empty", "export EMPTY="},
		"no file":     {secret.Ref{File: "nope"}, "/site/nope", "start at the site file"},
		"empty file":  {secret.Ref{File: "none"}, "file /site/none holds no secret", ""},
		"not UTF-8":   {secret.Ref{File: "latin"}, "not UTF-8", "UTF-8"},
		"null":        {secret.Ref{File: "null"}, "null character", ""},
		"large":       {secret.Ref{File: "large"}, "too many for a secret", ""},
		"command fails": {secret.Ref{Command: []string{"fail", "--token=" + hidden}},
			"cannot get the secret from program fail", "by hand"},
		"prompt fails": {secret.Ref{Prompt: "fail"}, "the terminal is gone", ""},
	} {
		v, err := resolver().Resolve(context.Background(), c.ref)
		if err == nil || !strings.Contains(err.Error(), c.msg) || !strings.Contains(hint.Of(err), c.tip) || !v.IsZero() {
			t.Errorf("%s: %v with hint %q", name, err, hint.Of(err))
			continue
		}
		if strings.Contains(err.Error()+hint.Of(err), hidden) {
			t.Errorf("%s: the secret is in %q", name, err)
		}
	}
	var closed secret.Resolver
	for _, ref := range []secret.Ref{{Env: "X"}, {File: "x"}, {Command: []string{"x"}}, {Prompt: "x"}} {
		if _, err := closed.Resolve(context.Background(), ref); err == nil {
			t.Errorf("%+v: resolved out of nothing", ref)
		}
	}
}

// TestRealResolver: the one that reads this process' environment, files and programs.
func TestRealResolver(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "pw"), []byte(hidden+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DEPLOY_TEST_SECRET", hidden)
	r := secret.NewResolver(dir, nil)
	for _, ref := range []secret.Ref{{Env: "DEPLOY_TEST_SECRET"}, {File: "pw"}, {Command: []string{"cat", "pw"}}} {
		v, err := r.Resolve(context.Background(), ref)
		if err != nil || v.Reveal() != hidden {
			t.Errorf("%+v: %v", ref, err)
		}
	}
	_, err := r.Resolve(context.Background(),
		secret.Ref{Command: []string{"sh", "-c", "echo '" + hidden + "' >&2; exit 3"}})
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || strings.Contains(err.Error(), hidden) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err = r.Resolve(ctx, secret.Ref{Command: []string{"sleep", "30"}})
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 10*time.Second {
		t.Errorf("after %s: %v", time.Since(start), err)
	}
}
