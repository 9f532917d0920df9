package machine

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"deploy/internal/lab/model"
	"deploy/internal/node"
)

type duration = time.Duration

// AtLeast says that the machine runs release r or a later one.
func (c *Ctx) AtLeast(r node.Release) bool { return c.M.Release.AtLeast(r) }

// SecondHop says whether this logon may authenticate to another machine: a network logon may not
// (no delegation), and the fault "second-hop-refused" takes it from any logon. The tool that is
// refused answers access denied (5) in its own way.
func (c *Ctx) SecondHop() bool {
	if c.Network {
		return false
	}
	_, hit := c.W.Strike("second-hop-refused", c.M.Name, nil)
	return !hit
}

// On returns a copy of c that acts on another machine of the lab.
func (c *Ctx) On(m *model.Machine) *Ctx {
	n := *c
	n.M = m
	return &n
}

// Win32 makes the refusal for a Win32 error code, with the system's message in the machine's
// language.
func (c *Ctx) Win32(code int64) *Fail {
	return &Fail{Code: code, Category: "OperationStopped", Type: "System.ComponentModel.Win32Exception",
		Text: c.Text(int(code))}
}

// HRESULT makes the refusal for a Win32 error code as .NET reports it: 0x8007 and the code.
func (c *Ctx) HRESULT(code int64) *Fail {
	f := c.Win32(code)
	f.Code = 0x80070000 | code
	f.Type = "System.IO.IOException"
	return f
}

// AsFail turns any error into a *Fail.
func (c *Ctx) AsFail(err error) *Fail {
	var f *Fail
	if errors.As(err, &f) {
		return f
	}
	return &Fail{Code: 0x80004005, Category: "NotSpecified", Type: "System.Exception", Text: err.Error()}
}

// withoutCancel keeps a nil context nil-safe.
func withoutCancel(ctx context.Context) context.Context {
	if ctx == nil {
		return context.Background()
	}
	return context.WithoutCancel(ctx)
}

// strikeReboot plays the fault "reboot-pending": the machine says that a restart is due.
func (c *Ctx) strikeReboot() {
	if _, hit := c.W.Strike("reboot-pending", c.M.Name, nil); hit {
		PendReboot(c, "fault", "cbs")
	}
}

// GUID makes a new GUID with braces, upper case, out of the world's serial, so that equal runs make
// equal ids.
func GUID(w *model.World) string {
	n := w.Next()
	return fmt.Sprintf("{%08X-4C41-4B0D-8A%02X-%012X}", uint32(n*2654435761), byte(n), n)
}

// Arg returns an argument by name, without case.
func Arg(args map[string]any, name string) any {
	if v, ok := args[name]; ok {
		return v
	}
	for k, v := range args {
		if strings.EqualFold(k, name) {
			return v
		}
	}
	return nil
}

// HasArg says that an argument was given and is not null.
func HasArg(args map[string]any, name string) bool { return Arg(args, name) != nil }

// ArgString returns an argument as text; null is "".
func ArgString(args map[string]any, name string) string {
	switch v := Arg(args, name).(type) {
	case string:
		return v
	case nil:
		return ""
	case []any:
		if len(v) == 1 {
			return fmt.Sprint(v[0])
		}
	case []byte:
		return string(v)
	case bool:
		if v {
			return "True"
		}
		return "False"
	default:
		return fmt.Sprint(v)
	}
	return ""
}

// ArgInt returns an argument as a number and whether it is one.
func ArgInt(args map[string]any, name string) (int64, bool) { return toInt(Arg(args, name)) }

func toInt(v any) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case int:
		return int64(v), true
	case uint32:
		return int64(v), true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case Enum:
		return v.Number, true
	case []any:
		if len(v) == 1 {
			return toInt(v[0])
		}
	case string:
		var n int64
		if _, err := fmt.Sscanf(strings.TrimSpace(v), "%v", &n); err == nil && v != "" {
			return n, true
		}
	}
	return 0, false
}

// ArgBool returns an argument as a truth; null is false.
func ArgBool(args map[string]any, name string) bool {
	switch v := Arg(args, name).(type) {
	case bool:
		return v
	case int64:
		return v != 0
	case string:
		return strings.EqualFold(v, "true") || strings.EqualFold(v, "$true")
	}
	return false
}

// ArgStrings returns an argument as a list of text; one text is a list of one, null is nil.
func ArgStrings(args map[string]any, name string) []string { return stringList(Arg(args, name)) }

func stringList(v any) []string {
	switch v := v.(type) {
	case nil:
		return nil
	case []string:
		return v
	case []any:
		out := make([]string, 0, len(v))
		for _, x := range v {
			if x != nil {
				out = append(out, fmt.Sprint(x))
			}
		}
		return out
	}
	return []string{fmt.Sprint(v)}
}

// Anys makes a list that the codec can carry.
func Anys(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
