package winrmd

import (
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// answer is what an operation says: an action and a body, or a fault.
type answer struct {
	action string
	body   string
}

// handle carries out one SOAP request for user.
func (s *Server) handle(ctx context.Context, user string, q *request) (answer, *fault) {
	if q.Body.child(nsIdentify, "Identify") != nil {
		return answer{body: s.identify(true)}, nil
	}
	switch {
	case q.Action == "":
		return answer{}, faultHeaderRequired("Action")
	case q.MessageID == "":
		return answer{}, faultHeaderRequired("MessageID")
	case q.ResourceURI == "":
		return answer{}, faultHeaderRequired("ResourceURI")
	case q.ResourceURI != uriCmd:
		return answer{}, faultResource(q.ResourceURI)
	}
	if q.Action == actionCreate {
		return s.create(user, q)
	}
	ops := map[string]func(context.Context, *shell, *request) (answer, *fault){
		actionDelete:         s.delete,
		nsShell + "/Command": s.command,
		nsShell + "/Send":    s.send,
		nsShell + "/Receive": s.receive,
		nsShell + "/Signal":  s.signal,
	}
	op := ops[q.Action]
	if op == nil {
		return answer{}, faultAction(q.Action)
	}
	id := q.Selectors["shellid"]
	sh := s.shell(id)
	// a shell is its owner's: for anybody else it is not there
	if sh == nil || !strings.EqualFold(sh.Owner, user) || !sh.enter() {
		return answer{}, faultNoShell(id)
	}
	defer sh.leave()
	return op(ctx, sh, q)
}

// identify answers the Identify request. Who has not logged on learns no version.
func (s *Server) identify(known bool) string {
	version, sp := "0.0.0", "0.0"
	if known {
		version, sp = s.cfg.Version, strconv.Itoa(s.cfg.ServicePack)+".0"
	}
	return `<wsmid:IdentifyResponse xmlns:wsmid="` + nsIdentify + `"><wsmid:ProtocolVersion>` + nsWSMan +
		`</wsmid:ProtocolVersion>` +
		`<wsmid:ProductVendor>Microsoft Corporation</wsmid:ProductVendor><wsmid:ProductVersion>OS: ` + version + ` SP: ` +
		sp +
		` Stack: ` + s.cfg.Quotas.Stack + `</wsmid:ProductVersion></wsmid:IdentifyResponse>`
}

func (s *Server) create(user string, q *request) (answer, *fault) {
	spec := q.Body.child(nsShell, "Shell")
	if spec == nil {
		return answer{}, faultInvalidBody("no Shell")
	}
	sh := &shell{ID: newID(), Owner: user, Dir: spec.text(nsShell, "WorkingDirectory"), CodePage: 437,
		Idle:    s.cfg.Quotas.IdleTimeout,
		Created: time.Now(), commands: map[string]*command{}}
	if cp := q.Options["WINRS_CODEPAGE"]; cp != "" {
		n, err := strconv.Atoi(cp)
		if err != nil || n < 0 {
			return answer{}, faultInvalidHeader("WINRS_CODEPAGE is no number")
		}
		sh.CodePage = n
	}
	if t := spec.text(nsShell, "IdleTimeOut"); t != "" {
		d, err := parseDuration(t)
		if err != nil {
			return answer{}, faultInvalidBody("IdleTimeOut: " + err.Error())
		}
		sh.Idle = min(max(d, s.cfg.Quotas.MinIdle), s.cfg.Quotas.MaxIdle)
	}
	if f := s.addShell(sh); f != nil {
		return answer{}, f
	}
	action := actionCreate + "Response"
	selectors := `<w:SelectorSet><w:Selector Name="ShellId">` + sh.ID + `</w:Selector></w:SelectorSet>`
	body := `<x:ResourceCreated><a:Address>` + addrAnon + `</a:Address><a:ReferenceParameters><w:ResourceURI>` + uriCmd +
		`</w:ResourceURI>` + selectors + `</a:ReferenceParameters></x:ResourceCreated>` +
		`<rsp:Shell><rsp:ShellId>` + sh.ID + `</rsp:ShellId><rsp:ResourceUri>` + uriCmd + `</rsp:ResourceUri><rsp:Owner>` +
		escape(user) +
		`</rsp:Owner><rsp:ClientIP>127.0.0.1</rsp:ClientIP><rsp:IdleTimeOut>` + formatDuration(sh.Idle) +
		`</rsp:IdleTimeOut><rsp:InputStreams>stdin</rsp:InputStreams><rsp:OutputStreams>stdout stderr</rsp:OutputStreams>` +
		`<rsp:ShellRunTime>P0DT0H0M0S</rsp:ShellRunTime><rsp:ShellInactivity>P0DT0H0M0S</rsp:ShellInactivity></rsp:Shell>`
	return answer{action, body}, nil
}

func (s *Server) delete(_ context.Context, sh *shell, _ *request) (answer, *fault) {
	s.dropShell(sh)
	return answer{actionDelete + "Response", ""}, nil
}

func (s *Server) command(_ context.Context, sh *shell, q *request) (answer, *fault) {
	spec := q.Body.child(nsShell, "CommandLine")
	if spec == nil {
		return answer{}, faultInvalidBody("no CommandLine")
	}
	// the parts are put together with blanks, nothing is quoted (MS-WSMV 2.2.4.7)
	parts := []string{}
	for _, e := range spec.Children {
		if e.Name.Space == nsShell && (e.Name.Local == "Command" || e.Name.Local == "Arguments") {
			parts = append(parts, strings.TrimSpace(e.Text))
		}
	}
	line := strings.TrimSpace(strings.Join(parts, " "))
	if line == "" {
		return answer{}, faultInvalidBody("no Command")
	}
	id := strings.ToUpper(spec.attr("CommandId"))
	if id == "" {
		id = newID()
	}
	if s.operations(sh.Owner) >= s.cfg.Quotas.MaxOperations {
		return answer{}, faultQuota(codeMaxOperations, "concurrent operations", s.cfg.Quotas.MaxOperations)
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	switch {
	case sh.gone:
		return answer{}, faultNoShell(sh.ID)
	case sh.commands[id] != nil:
		return answer{}, faultInvalidBody("the CommandId is in use")
	case sh.running() >= s.cfg.Quotas.MaxProcesses:
		return answer{}, faultQuota(codeMaxCommands, "processes in a shell", s.cfg.Quotas.MaxProcesses)
	}
	sh.start(id, line, true, s.cfg.Run, &s.wg)
	return answer{nsShell + "/CommandResponse",
		`<rsp:CommandResponse><rsp:CommandId>` + escape(id) + `</rsp:CommandId></rsp:CommandResponse>`}, nil
}

// find looks a command up.
func (sh *shell) find(id string) (*command, *fault) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	c := sh.commands[strings.ToUpper(id)]
	if c == nil {
		return nil, faultNoCommand(id)
	}
	return c, nil
}

func (s *Server) send(ctx context.Context, sh *shell, q *request) (answer, *fault) {
	spec := q.Body.child(nsShell, "Send")
	if spec == nil {
		return answer{}, faultInvalidBody("no Send")
	}
	deadline := time.NewTimer(s.timeout(q))
	defer deadline.Stop()
	for _, e := range spec.Children {
		if e.Name.Local != "Stream" {
			continue
		}
		if e.attr("Name") != "stdin" {
			return answer{}, faultInvalidBody("the stream is not stdin")
		}
		c, f := sh.find(e.attr("CommandId"))
		if f != nil {
			return answer{}, f
		}
		data, err := base64.StdEncoding.DecodeString(spaceless(e.Text))
		if err != nil {
			return answer{}, faultInvalidBody("the stream is not base64")
		}
		for !c.in.offer(data, strings.EqualFold(e.attr("End"), "true")) {
			select {
			case <-time.After(5 * time.Millisecond):
			case <-deadline.C:
				return answer{}, faultTimedOut()
			case <-ctx.Done():
				return answer{}, faultAborted()
			}
		}
	}
	return answer{nsShell + "/SendResponse", `<rsp:SendResponse/>`}, nil
}

func spaceless(s string) string {
	if !strings.ContainsAny(s, " \t\r\n") {
		return s
	}
	return strings.Join(strings.Fields(s), "")
}

// timeout is how long the request may take: what it asks for, capped by MaxTimeoutms.
func (s *Server) timeout(q *request) time.Duration {
	if q.Timeout == 0 || q.Timeout > s.cfg.Quotas.MaxTimeout {
		return s.cfg.Quotas.MaxTimeout
	}
	return q.Timeout
}

func (s *Server) receive(ctx context.Context, sh *shell, q *request) (answer, *fault) {
	want := q.Body.child(nsShell, "Receive").child(nsShell, "DesiredStream")
	if want == nil {
		return answer{}, faultInvalidBody("no DesiredStream")
	}
	c, f := sh.find(want.attr("CommandId"))
	if f != nil {
		return answer{}, f
	}
	// what fits into the answer: the envelope less its frame, in base64
	envelope := s.cfg.Quotas.MaxEnvelope
	if q.MaxEnvelope > 0 {
		envelope = min(envelope, q.MaxEnvelope)
	}
	limit := (envelope - 4096) / 4 * 3
	deadline := time.NewTimer(s.timeout(q))
	defer deadline.Stop()
	for {
		if ctx.Err() != nil {
			return answer{}, faultAborted() // the client is gone: leave the output for the next one
		}
		out, changed, ok := c.out.take(limit)
		if !ok {
			select {
			case <-changed:
			case <-deadline.C:
				return answer{}, faultTimedOut()
			case <-ctx.Done():
			}
			continue
		}
		switch {
		case out.again:
			return answer{}, faultNoCommand(c.ID)
		case out.closed && len(out.stdout)+len(out.stderr) == 0:
			return answer{}, faultAborted()
		}
		return answer{nsShell + "/ReceiveResponse", receiveBody(c.ID, out)}, nil
	}
}

func receiveBody(id string, out output) string {
	var b strings.Builder
	id = escape(id)
	b.WriteString(`<rsp:ReceiveResponse>`)
	for _, st := range []struct {
		name string
		data []byte
	}{{"stdout", out.stdout}, {"stderr", out.stderr}} {
		if len(st.data) > 0 {
			fmt.Fprintf(&b, `<rsp:Stream Name="%s" CommandId="%s">`, st.name, id)
			b.WriteString(base64.StdEncoding.EncodeToString(st.data))
			b.WriteString(`</rsp:Stream>`)
		}
	}
	if !out.done {
		fmt.Fprintf(&b, `<rsp:CommandState CommandId="%s" State="%s/CommandState/Running"/></rsp:ReceiveResponse>`, id,
			nsShell)
		return b.String()
	}
	fmt.Fprintf(&b, `<rsp:Stream Name="stdout" CommandId="%s" End="true"></rsp:Stream><rsp:Stream Name="stderr" CommandId="%s" End="true"></rsp:Stream>`, id, id)
	// a process's exit code is an unsigned 32-bit number
	fmt.Fprintf(&b, `<rsp:CommandState CommandId="%s" State="%s/CommandState/Done"><rsp:ExitCode>%d</rsp:ExitCode></rsp:CommandState></rsp:ReceiveResponse>`,
		id, nsShell, uint32(out.code))
	return b.String()
}

func (s *Server) signal(_ context.Context, sh *shell, q *request) (answer, *fault) {
	spec := q.Body.child(nsShell, "Signal")
	if spec == nil {
		return answer{}, faultInvalidBody("no Signal")
	}
	c, f := sh.find(spec.attr("CommandId"))
	if f != nil {
		return answer{}, f
	}
	code := spec.text(nsShell, "Code")
	// pypsrp writes /signal/Terminate, Windows' own clients /signal/terminate
	switch name := strings.ToLower(code[strings.LastIndexByte(code, '/')+1:]); name {
	case "terminate":
		sh.mu.Lock()
		delete(sh.commands, c.ID)
		sh.mu.Unlock()
		c.stop()
	case "ctrl_c", "ctrl_break":
		c.interrupt()
	default:
		return answer{}, faultInvalidBody("unknown signal " + code)
	}
	return answer{nsShell + "/SignalResponse", `<rsp:SignalResponse/>`}, nil
}
