package protocol

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"
)

//go:embed scripts/*.ps1
var scripts embed.FS

// part returns one embedded script as it travels.
func part(name string) string {
	b, err := scripts.ReadFile("scripts/" + name + ".ps1")
	if err != nil {
		panic("embedded script is missing: " + name) // a mistake in the program, seen by every test
	}
	// comments and indentation stay at home: the script travels at the start of every session. No
	// script has a here-string, in which they would matter; a test sees to that.
	var out strings.Builder
	for _, line := range strings.Split(string(b), "\n") {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			out.WriteString(line + "\n")
		}
	}
	return out.String()
}

func bootstrap() string { return part("bootstrap") }

// Script is the main script: the files of scripts/ in the order in which they build on each other.
// The two scripts that the task scheduler starts travel in it as data, since each becomes a file of
// its own on the node.
func Script() string {
	data := func(name string, parts ...string) string {
		return "$deploy['" + name + "'] = '" + base64.StdEncoding.EncodeToString([]byte(strings.Join(parts, ""))) + "'\n"
	}
	return part("frame") +
		data("runner", Runner()) +
		data("once", part("frame"), part("cmdlet"), part("once")) +
		part("process") + part("registry") + part("owner") +
		part("wmi") + part("cmdlet") + part("files") + part("jobs") + part("asuser") +
		part("directory") + part("loop")
}

// Runner is the script that the task scheduler starts for a job: it runs what the data file beside
// it names (see JobFile).
func Runner() string { return part("process") + part("job") }

// JobFile is the data file of a job: the program, its arguments as CreateProcess takes them, its
// directory and its limit in seconds, each as a line of base64 of UTF-8.
func JobFile(program, line, dir string, limit int64) string {
	var b strings.Builder
	for _, field := range []string{program, line, dir, strconv.FormatInt(limit, 10)} {
		b.WriteString(base64.StdEncoding.EncodeToString([]byte(field)) + "\r\n")
	}
	return b.String()
}

// RunnerFlags is how powershell.exe runs a script file.
const RunnerFlags = "-NoProfile -NonInteractive -InputFormat None -ExecutionPolicy Bypass -File "

// flags is how powershell.exe is started. InputFormat None keeps PowerShell 2.0 from reading our
// stdin itself.
const flags = "powershell.exe -NoProfile -NonInteractive -InputFormat None -ExecutionPolicy Bypass -EncodedCommand "

// maxScript bounds what ReadPreamble takes in.
const maxScript = 4 << 20

// CommandLine is the command line that starts the process. It is the same for every node and
// session: everything else goes over stdin.
func CommandLine() string { return flags + encodedCommand(bootstrap()) }

// encodedCommand writes a script as -EncodedCommand wants it: base64 of UTF-16, low byte first.
func encodedCommand(s string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return base64.StdEncoding.EncodeToString(b)
}

// IsBootstrap says that a command line starts the resident process with this version's bootstrap.
// Only the encoded command decides: a client may put other switches before it.
func IsBootstrap(commandLine string) bool {
	fields := strings.Fields(commandLine)
	for i, f := range fields {
		if strings.EqualFold(f, "-EncodedCommand") && i+1 < len(fields) {
			return fields[i+1] == encodedCommand(bootstrap())
		}
	}
	return false
}

// Preamble is what goes to the process's stdin first: the main script in base64 pieces, a line ".",
// and the nonce.
func Preamble(nonce string) []byte {
	var b bytes.Buffer
	rest := base64.StdEncoding.EncodeToString([]byte(Script()))
	for len(rest) > 0 {
		n := min(len(rest), MaxLine)
		b.WriteString(rest[:n] + "\n")
		rest = rest[n:]
	}
	b.WriteString(".\n" + nonce + "\n")
	return b.Bytes()
}

// ReadPreamble is the far side of Preamble. Frames follow in r.
func ReadPreamble(r *bufio.Reader) (script, nonce string, err error) {
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return "", "", fmt.Errorf("cannot read the script: %w", err)
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "." {
			break
		}
		if b.Len()+len(line) > maxScript {
			return "", "", fmt.Errorf("cannot read the script: longer than %d bytes", maxScript)
		}
		b.WriteString(line)
	}
	raw, err := base64.StdEncoding.DecodeString(b.String())
	if err != nil {
		return "", "", fmt.Errorf("cannot read the script: %w", err)
	}
	nonce, err = r.ReadString('\n')
	if err != nil {
		return "", "", fmt.Errorf("cannot read the session's nonce: %w", err)
	}
	nonce = strings.TrimRight(nonce, "\r\n")
	if nonce == "" || strings.ContainsAny(nonce, " \t") {
		return "", "", fmt.Errorf("cannot read the session's nonce: not one word")
	}
	return string(raw), nonce, nil
}

// ScriptSHA256 names the main script, in lower-case hex.
func ScriptSHA256() string {
	sum := sha256.Sum256([]byte(Script()))
	return hex.EncodeToString(sum[:])
}
