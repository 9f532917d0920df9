package secret

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"deploy/internal/hint"
)

// Resolver finds the secret that a Ref names. Its functions are what it may use of the world; a nil
// one means that the way is not open here (a run without a terminal has no Prompt), and a Ref that
// needs it is an error.
type Resolver struct {
	Dir       string // relative file names stand beside this directory's files
	LookupEnv func(name string) (string, bool)
	ReadFile  func(path string) ([]byte, error)
	// Run starts a program without a shell and answers what it wrote to its standard output.
	Run func(ctx context.Context, dir string, argv []string) ([]byte, error)
	// Prompt asks on the terminal without an echo.
	Prompt func(ctx context.Context, question string) (string, error)
}

// maxSecret is far above any password and any private key.
const maxSecret = 1 << 20

// NewResolver makes a resolver over this process' environment, files and programs. prompt may be
// nil.
func NewResolver(dir string, prompt func(ctx context.Context, question string) (string, error)) *Resolver {
	return &Resolver{Dir: dir, LookupEnv: os.LookupEnv, ReadFile: os.ReadFile, Run: runProgram, Prompt: prompt}
}

// runProgram keeps the program's standard error out of errors and logs: it may quote the secret.
func runProgram(ctx context.Context, dir string, argv []string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.WaitDelay = 2 * time.Second // a grandchild may hold the pipe open
	return cmd.Output()
}

// Resolve finds the secret. The zero Ref gives the zero Value. An error names the place, never what
// was found there.
func (r *Resolver) Resolve(ctx context.Context, ref Ref) (Value, error) {
	switch {
	case ref.IsZero():
		return Value{}, nil
	case ref.Env != "":
		return r.env(ref.Env)
	case ref.File != "":
		return r.file(ref.File)
	case len(ref.Command) > 0:
		return r.command(ctx, ref.Command)
	}
	return r.prompt(ctx, ref.Prompt)
}

func (r *Resolver) env(name string) (Value, error) {
	if r.LookupEnv == nil {
		return Value{}, errors.New("cannot read environment variables here")
	}
	s, ok := r.LookupEnv(name)
	switch {
	case !ok:
		return Value{}, hint.Wrap(fmt.Errorf("environment variable %s is not set", name),
			"set it before you start deploy: export "+name+"=...")
	case s == "":
		return Value{}, hint.Wrap(fmt.Errorf("environment variable %s is empty", name),
			"give it the secret: export "+name+"=...")
	}
	return clean([]byte(s), "environment variable "+name, false)
}

func (r *Resolver) file(name string) (Value, error) {
	if r.ReadFile == nil {
		return Value{}, errors.New("cannot read files here")
	}
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.Dir, path)
	}
	data, err := r.ReadFile(path)
	if err != nil {
		return Value{}, hint.Wrap(fmt.Errorf("cannot read the secret: %w", err), "relative paths start at the site file")
	}
	return clean(data, "file "+path, true)
}

func (r *Resolver) command(ctx context.Context, argv []string) (Value, error) {
	if r.Run == nil {
		return Value{}, errors.New("cannot run programs here")
	}
	// the arguments are not shown: people put tokens there
	what := "program " + argv[0]
	out, err := r.Run(ctx, r.Dir, argv)
	if err != nil {
		if ctx.Err() != nil {
			return Value{}, fmt.Errorf("cannot get the secret from %s: %w", what, ctx.Err())
		}
		why := "it could not be started"
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			why = exit.ProcessState.String() // "exit status 1"
		}
		return Value{}, hint.Wrap(fmt.Errorf("cannot get the secret from %s: %s", what, why),
			"run the command by hand; it must print the secret and nothing else")
	}
	return clean(out, what, true)
}

func (r *Resolver) prompt(ctx context.Context, question string) (Value, error) {
	if r.Prompt == nil {
		return Value{}, hint.Wrap(fmt.Errorf("cannot ask %q: there is no terminal", question),
			"name the secret by env, file or command for runs without a terminal")
	}
	s, err := r.Prompt(ctx, question)
	if err != nil {
		return Value{}, fmt.Errorf("cannot ask %q: %w", question, err)
	}
	return clean([]byte(s), "the answer", false)
}

func clean(data []byte, what string, cut bool) (Value, error) {
	if cut {
		data = bytes.TrimSuffix(data, []byte("\n"))
		data = bytes.TrimSuffix(data, []byte("\r"))
	}
	switch {
	case len(data) == 0:
		return Value{}, fmt.Errorf("%s holds no secret: it is empty", what)
	case len(data) > maxSecret:
		return Value{}, fmt.Errorf("%s holds %d bytes, too many for a secret", what, len(data))
	case !utf8.Valid(data):
		return Value{}, hint.Wrap(fmt.Errorf("%s holds bytes that are not UTF-8 text", what), "save it as UTF-8")
	case strings.ContainsRune(string(data), 0):
		return Value{}, hint.Wrap(fmt.Errorf("%s holds a null character", what), "save it as UTF-8 text")
	}
	return New(string(data)), nil
}
