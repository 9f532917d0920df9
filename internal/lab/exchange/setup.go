package exchange

import (
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"deploy/internal/lab/directory"
	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
)

const (
	logDir    = `C:\ExchangeSetupLogs`
	logFile   = `C:\ExchangeSetupLogs\ExchangeSetup.log`
	regRoot   = `HKLM\SOFTWARE\Microsoft\Exchange`
	installed = `C:\Program Files\Microsoft\Exchange Server`
)

// setup is one run of setup.com.
type setup struct {
	e    *Family
	c    *machine.Ctx
	b    build
	args map[string]string // switch in lower case, long form, to its value
}

// switches of Exchange 2007's setup, short forms to long. Source: exchange.md A3.
func switches() map[string]string {
	return map[string]string{
		"mode": "mode", "m": "mode", "roles": "roles", "role": "roles", "r": "roles", "organizationname": "organizationname",
		"on":        "organizationname",
		"targetdir": "targetdir", "t": "targetdir", "sourcedir": "sourcedir", "s": "sourcedir", "updatesdir": "updatesdir",
		"u":                "updatesdir",
		"domaincontroller": "domaincontroller", "dc": "domaincontroller", "answerfile": "answerfile", "af": "answerfile",
		"donotstarttransport": "donotstarttransport", "enablelegacyoutlook": "enablelegacyoutlook",
		"legacyroutingserver": "legacyroutingserver",
		"newcms":              "newcms", "removecms": "removecms", "cmsname": "cmsname", "cn": "cmsname",
		"cmsipaddress":     "cmsipaddress",
		"cip":              "cmsipaddress",
		"cmssharedstorage": "cmssharedstorage", "css": "cmssharedstorage", "cmsdatapath": "cmsdatapath", "cdp": "cmsdatapath",
		"prepareschema": "prepareschema", "ps": "prepareschema", "preparead": "preparead", "p": "preparead",
		"preparedomain": "preparedomain", "pd": "preparedomain", "preparealldomains": "preparedomain", "pad": "preparedomain",
		"preparelegacyexchangepermissions": "preparelegacy", "pl": "preparelegacy",
	}
}

// failure ends a run of setup: it is written to the log and the console, and setup leaves with 1.
type failure struct {
	rule string // prerequisite that failed; "" for other errors
	text string
	code int // exit code; 0 is 1
}

func (f *failure) Error() string { return f.text }

func refuse(rule, format string, args ...any) error {
	return &failure{rule: rule, text: fmt.Sprintf(format, args...)}
}

func (e *Family) setup(c *machine.Ctx, argv []string, b build) machine.Result {
	s := &setup{e: e, c: c, b: b, args: map[string]string{}}
	var bad []string
	for _, a := range argv[1:] {
		name, value, _ := strings.Cut(strings.TrimLeft(a, "/-"), ":")
		long, ok := switches()[strings.ToLower(name)]
		if !ok || (!strings.HasPrefix(a, "/") && !strings.HasPrefix(a, "-")) {
			bad = append(bad, a)
			continue
		}
		s.args[long] = value
	}
	s.say("\r\nWelcome to Microsoft Exchange Server 2007 Unattended Setup\r\n\r\n")
	if len(bad) > 0 {
		s.say("The parameter '" + bad[0] + "' is not recognized.\r\n") // refused before a log is begun
		return machine.Result{Code: 1}
	}
	if err := s.begin(); err != nil {
		s.say("\r\nThe log file cannot be written: " + err.Error() + "\r\n")
		return machine.Result{Code: 1}
	}
	err := s.run()
	code := 0
	if err != nil {
		code = 1
		var f *failure
		if errors.As(err, &f) {
			code = max(code, f.code)
			if f.rule != "" {
				s.log(1, "Failed [Rule:%s]", f.rule)
				s.log(1, "[REQUIRED] %s", f.text)
				s.log(1, "Help URL: http://go.microsoft.com/fwlink/?linkid=30939&l=en&v=ExBPA.3&id=%s", f.rule)
			}
		}
		s.log(1, "[ERROR] %s", err)
		s.say("\r\nThe Exchange Server setup operation did not complete. " + err.Error() + "\r\n")
	} else {
		s.say("\r\nThe Microsoft Exchange Server setup operation completed successfully.\r\n")
	}
	s.log(0, "CurrentResult setupbase.maincore:396: %d", code)
	s.log(0, "End of Setup")
	s.log(0, "**********************************************")
	return machine.Result{Code: code}
}

// run decides what is asked for.
func (s *setup) run() error {
	if s.args["domaincontroller"] != "" && s.c.W.Machine(s.args["domaincontroller"]) == nil {
		return refuse("", "the domain controller %s cannot be contacted", s.args["domaincontroller"])
	}
	has := func(name string) bool { _, ok := s.args[name]; return ok }
	if err := s.common(); err != nil {
		return err
	}
	switch mode := strings.ToLower(s.args["mode"]); {
	case has("prepareschema"):
		return s.prepareSchema()
	case has("preparead"):
		return s.prepareAD()
	case has("preparedomain"):
		return s.prepareDomain()
	case has("newcms"):
		return s.newCMS()
	case has("removecms"):
		return s.removeCMS()
	case has("roles") && (mode == "" || mode == "install"):
		return s.install()
	case has("roles") && mode == "uninstall", mode == "uninstall":
		return s.uninstall()
	}
	return refuse("", "the combination of parameters is not one that this emulation of setup knows: %s",
		strings.Join(s.names(), " "))
}

func (s *setup) names() []string {
	var out []string
	for n := range s.args {
		out = append(out, "/"+n)
	}
	sort.Strings(out)
	return out
}

// common are the prerequisites of every run.
func (s *setup) common() error {
	c := s.c
	switch {
	case c.M.Domain == "" || c.W.Forest == nil:
		return refuse("ComputerNotPartofDomain", "this computer is not part of an Active Directory domain")
	case c.M.Release == "2008r2" && s.b.version < "8.3":
		return refuse("OSVersionNotSupported", "this version of Exchange does not support this version of Windows")
	case c.M.Release != "2003" && c.M.Release != "2008" && c.M.Release != "2008r2":
		return refuse("OSVersionNotSupported", "this version of Exchange does not support this version of Windows")
	case c.M.Release == "2008" && s.b.version < "8.1":
		return refuse("OSVersionNotSupported", "Windows Server 2008 needs Exchange 2007 with Service Pack 1 or later")
	case len(c.M.Pending) > 0:
		return refuse("PendingRebootWindowsComponents", "a restart from an earlier installation is pending")
	}
	if s.e.running[c.M.Name] {
		return refuse("SetupAlreadyRunning", "another instance of setup is running")
	}
	if err := directory.Reachable(c); err != nil {
		return refuse("CannotAccessAD", "Active Directory cannot be contacted: %v", err)
	}
	return nil
}

// alone marks that setup runs on this machine, and returns what takes the mark away.
func (s *setup) alone() func() {
	s.e.running[s.c.M.Name] = true
	return func() { delete(s.e.running, s.c.M.Name) }
}

// stage is one step of setup that takes time and can be told to fail. The world is let go of
// meanwhile.
func (s *setup) stage(name string, takes time.Duration) error {
	s.say("    " + name + " ")
	s.log(1, "Beginning processing %s", name)
	s.c.Sleep(takes)
	if args, hit := s.c.W.Strike("setup-fails", s.c.M.Name, func(args map[string]string) bool {
		return args["at"] == "" || strings.EqualFold(args["at"], strings.ReplaceAll(name, " ", "-"))
	}); hit {
		s.say("......................... FAILED\r\n")
		code, _ := strconv.Atoi(args["code"])
		return &failure{text: "an error occurred while " + name + " ran", code: code}
	}
	s.say("......................... COMPLETED\r\n")
	return nil
}

func (s *setup) say(text string) { s.c.Print(text) }

// begin opens a run in the log. The log is English in every language. Its error says that the log
// cannot be written. Source: exchange.md A4, structure of the log of the same framework in later
// versions.
func (s *setup) begin() error {
	if err := s.write(0, "**********************************************"); err != nil {
		return err
	}
	s.log(0, "Starting Microsoft Exchange Server 2007 Setup")
	s.log(0, "**********************************************")
	s.log(0, "Setup version: %s.", s.b.version)
	s.log(0, "Logged on user: %s.", s.c.User)
	for _, n := range s.names() {
		s.log(0, "Command Line Parameter Name='%s', Value='%s'.", n[1:], s.args[n[1:]])
	}
	mode := s.args["mode"]
	if mode == "" {
		mode = "Install"
	}
	if p := s.c.M.Products[Product]; p != nil {
		s.log(0, "The locally installed version is %s.", p.Version)
	}
	s.log(0, "The installation mode is set to: '%s'.", mode)
	return nil
}

// log adds a line. Setup goes on without a log that it cannot write any more.
func (s *setup) log(level int, format string, args ...any) {
	_ = s.write(level, format, args...)
}

func (s *setup) write(level int, format string, args ...any) error {
	line := fmt.Sprintf("[%s] [%d] %s\r\n", s.c.Now().UTC().Format("01/02/2006 15:04:05.0000"), level,
		fmt.Sprintf(format, args...))
	if err := machine.MakeDirs(s.c, logDir); err != nil {
		return err
	}
	old, _ := machine.ReadFile(s.c, logFile)
	if err := machine.WriteFile(s.c, logFile, append(old, line...)); err != nil {
		return err
	}
	for _, p := range []string{strings.ToLower(logDir), strings.ToLower(logFile)} {
		if f := s.c.M.Files[p]; f != nil {
			f.Volatile = true // it says when; it is no part of the state
		}
	}
	return nil
}

// mark writes the watermark of a role that setup works on: a run that is cut off leaves it.
func (s *setup) mark(role, action, at string) {
	key := regRoot + `\v8.0\` + role + "Role"
	_ = machine.RegSet(s.c, key, "UnpackedVersion", "string", s.b.version)
	_ = machine.RegSet(s.c, key, "Action", "string", action)
	_ = machine.RegSet(s.c, key, "Watermark", "string", at)
}

func (s *setup) configured(role string) {
	key := regRoot + `\v8.0\` + role + "Role"
	_ = machine.RegSet(s.c, key, "UnpackedVersion", "string", s.b.version)
	_ = machine.RegSet(s.c, key, "ConfiguredVersion", "string", s.b.version)
	machine.RegDelete(s.c, key, "Action")
	machine.RegDelete(s.c, key, "Watermark")
}

// watermark returns the action that a cut-off run of setup left for a role, or "".
func watermark(c *machine.Ctx, role string) string {
	if machine.RegValue(c, regRoot+`\v8.0\`+role+"Role", "Watermark") == nil {
		return ""
	}
	a, _ := machine.RegValue(c, regRoot+`\v8.0\`+role+"Role", "Action").(string)
	if a == "" {
		a = "Install"
	}
	return a
}

// watermarkAt returns where a cut-off run of setup stood with a role, or "".
func watermarkAt(c *machine.Ctx, role string) string {
	at, _ := machine.RegValue(c, regRoot+`\v8.0\`+role+"Role", "Watermark").(string)
	return at
}

// object finds an attribute's first value, or "".
func object(f *model.Forest, dn, attr string) string {
	o := directory.Get(f, dn)
	if o == nil || len(o.Attrs[strings.ToLower(attr)]) == 0 {
		return ""
	}
	return o.Attrs[strings.ToLower(attr)][0]
}
