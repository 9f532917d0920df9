package machine

import (
	"fmt"
	"strings"

	"deploy/internal/lab/model"
	"deploy/internal/node"
)

// scWords are the words of sc.exe that are translated: the outcome behind the API's name. Numbers,
// constants and API names are not. Which languages translate the labels too is not settled
// (windows.md 7 says "some"): here French does, so that both are met.
func scFailed(c *Ctx, api string, code int) Result {
	word := c.Pick([4]string{"FAILED", "ÉCHEC(S)", "FEHLER", "失敗"})
	return Result{Code: code, Stdout: fmt.Sprintf("[SC] %s %s %d:\r\n\r\n%s\r\n\r\n", api, word, code, c.Text(code))}
}

func scDone(c *Ctx, api string) Result {
	return Result{Stdout: "[SC] " + api + " " + c.Pick([4]string{"SUCCESS", "réussite(s)", "ERFOLG", "成功"}) + "\r\n"}
}

func scLabel(c *Ctx, label string) string {
	if c.M.Locale == "fr" {
		if l, ok := map[string]string{"SERVICE_NAME": "NOM_SERVICE", "DISPLAY_NAME": "NOM_COMPLET", "STATE": "ÉTAT",
			"START_TYPE":      "TYPE_DÉMARRAGE",
			"WIN32_EXIT_CODE": "CODE_SORTIE_WIN32", "SERVICE_EXIT_CODE": "CODE_SORTIE_SERVICE", "CHECKPOINT": "POINT_CONTRÔLE",
			"WAIT_HINT":     "INDICATION_ATTENTE",
			"ERROR_CONTROL": "CONTRÔLE_ERREURS", "BINARY_PATH_NAME": "CHEMIN_BINAIRE",
			"LOAD_ORDER_GROUP": "GROUPE_ORDRE_CHARGEMENT",
			"TAG":              "BALISE", "DEPENDENCIES": "DÉPENDANCES", "SERVICE_START_NAME": "NOM_DÉBUT_SERVICE"}[label]; ok {
			return l
		}
	}
	return label
}

func scLine(c *Ctx, label, value string) string {
	return strings.TrimRight(fmt.Sprintf("        %-18s : %s", scLabel(c, label), value), " ") + "\r\n"
}

func kindWord(kind int) string {
	switch kind {
	case 1:
		return "1  KERNEL_DRIVER"
	case 2:
		return "2  FILE_SYSTEM_DRIVER"
	case 16:
		return "10  WIN32_OWN_PROCESS"
	}
	return "20  WIN32_SHARE_PROCESS"
}

func scState(c *Ctx, s *model.Service, state int, pid bool) string {
	words := []string{"", "1  STOPPED", "2  START_PENDING", "3  STOP_PENDING", "4  RUNNING", "5  CONTINUE_PENDING",
		"6  PAUSE_PENDING", "7  PAUSED"}
	var b strings.Builder
	b.WriteString(scLine(c, "TYPE", kindWord(s.Kind)))
	b.WriteString(scLine(c, "STATE", words[state]))
	controls := "NOT_STOPPABLE, NOT_PAUSABLE, IGNORES_SHUTDOWN"
	if state == 4 {
		controls = "STOPPABLE, NOT_PAUSABLE, ACCEPTS_SHUTDOWN"
	}
	b.WriteString("                                (" + controls + ")\r\n")
	exit := "0  (0x0)"
	if state == 1 && s.Start != 2 {
		exit = "1077  (0x435)" // never started since the boot
	}
	b.WriteString(scLine(c, "WIN32_EXIT_CODE", exit))
	b.WriteString(scLine(c, "SERVICE_EXIT_CODE", "0  (0x0)"))
	b.WriteString(scLine(c, "CHECKPOINT", "0x0"))
	b.WriteString(scLine(c, "WAIT_HINT", "0x0"))
	if pid {
		b.WriteString(scLine(c, "PID", fmt.Sprint(servicePID(c, s))))
		b.WriteString(scLine(c, "FLAGS", ""))
	}
	return b.String()
}

// servicePID is a made-up process id: 0 when the service does not run.
func servicePID(c *Ctx, s *model.Service) int64 {
	if s.State == 1 || s.Kind == 1 || s.Kind == 2 {
		return 0
	}
	for i, n := range sortedKeys(c.M.Services) {
		if c.M.Services[n] == s {
			return int64(400 + 4*i)
		}
	}
	return 0
}

const errCommandLine = 1639 // ERROR_INVALID_COMMAND_LINE

func scTool(c *Ctx, argv []string, _ []byte) Result {
	args := argv[1:]
	if len(args) > 0 && strings.HasPrefix(args[0], `\\`) {
		m := c.W.Machine(strings.TrimLeft(args[0], `\`))
		switch {
		case m != nil && m == c.M:
		case m == nil || !m.Powered:
			return scFailed(c, "OpenSCManager", errRPCUnavailable)
		case !c.SecondHop():
			return scFailed(c, "OpenSCManager", errAccessDenied)
		default:
			c = c.On(m) // all machines of a lab share one language, so the words stay the same
		}
		args = args[1:]
	}
	if len(args) == 0 {
		return Result{Code: errCommandLine, Stdout: "DESCRIPTION:\r\n        SC\r\nUSAGE:\r\n        sc <server> " +
			"[command] [service name] <option1> <option2>...\r\n"}
	}
	verb, rest := strings.ToLower(args[0]), args[1:]
	name := ""
	if len(rest) > 0 {
		name = rest[0]
	}
	switch verb {
	case "query", "queryex":
		return scQuery(c, verb, rest)
	case "qc":
		return scConfigOf(c, name)
	case "start":
		if Service(c, name) == nil {
			return scFailed(c, "StartService: OpenService", errServiceAbsent)
		}
		if code := StartService(c, name); code != 0 {
			return scFailed(c, "StartService", code)
		}
		s := Service(c, name)
		return Result{Stdout: "\r\n" + scLabel(c, "SERVICE_NAME") + ": " + name + " \r\n" + scState(c, s, 2, true)}
	case "stop":
		s := Service(c, name)
		if s == nil {
			return scFailed(c, "OpenService", errServiceAbsent)
		}
		if code := StopService(c, name, false); code != 0 {
			return scFailed(c, "ControlService", code)
		}
		return Result{Stdout: "\r\n" + scLabel(c, "SERVICE_NAME") + ": " + name + " \r\n" + scState(c, s, 3, false)}
	case "delete":
		if Service(c, name) == nil {
			return scFailed(c, "OpenService", errServiceAbsent)
		}
		if code := DeleteService(c, name); code != 0 {
			return scFailed(c, "DeleteService", code)
		}
		return scDone(c, "DeleteService")
	case "config":
		return scConfig(c, rest)
	case "create":
		return scCreate(c, rest)
	}
	return Result{Code: errCommandLine, Stdout: "*** Unrecognized Command ***\r\n"}
}

func scQuery(c *Ctx, verb string, rest []string) Result {
	ex := verb == "queryex"
	if len(rest) > 0 && !strings.HasSuffix(rest[0], "=") {
		s := Service(c, rest[0])
		if s == nil {
			return scFailed(c, "EnumQueryServicesStatus:OpenService", errServiceAbsent)
		}
		return Result{Stdout: "\r\n" + scLabel(c, "SERVICE_NAME") + ": " + s.Name + " \r\n" + scState(c, s, s.State, ex)}
	}
	state, kind := "active", "service"
	for i := 0; i+1 < len(rest); i += 2 {
		switch strings.ToLower(rest[i]) {
		case "state=":
			state = strings.ToLower(rest[i+1])
		case "type=":
			kind = strings.ToLower(rest[i+1])
		case "bufsize=", "ri=", "group=":
		default:
			return Result{Code: errInvalidParameter, Stdout: "ERROR:  Invalid option\r\n"}
		}
	}
	var b strings.Builder
	for _, n := range sortedKeys(c.M.Services) {
		s := c.M.Services[n]
		driver := s.Kind == 1 || s.Kind == 2
		if driver && kind == "service" || !driver && kind == "driver" || state == "active" && s.State == 1 ||
			state == "inactive" && s.State != 1 {
			continue
		}
		fmt.Fprintf(&b, "\r\n%s: %s\r\n%s: %s\r\n%s", scLabel(c, "SERVICE_NAME"), s.Name, scLabel(c, "DISPLAY_NAME"),
			s.Display, scState(c, s, s.State, ex))
	}
	return Result{Stdout: b.String()}
}

func scConfigOf(c *Ctx, name string) Result {
	s := Service(c, name)
	if s == nil {
		return scFailed(c, "OpenService", errServiceAbsent)
	}
	start := []string{"0   BOOT_START", "1   SYSTEM_START", "2   AUTO_START", "3   DEMAND_START", "4   DISABLED"}[s.Start]
	if s.Delayed && s.Start == 2 {
		start += "  (DELAYED)"
	}
	var b strings.Builder
	b.WriteString(scDone(c, "QueryServiceConfig").Stdout + "\r\n" + scLabel(c, "SERVICE_NAME") + ": " + s.Name + "\r\n")
	b.WriteString(scLine(c, "TYPE", kindWord(s.Kind)))
	b.WriteString(scLine(c, "START_TYPE", start))
	b.WriteString(scLine(c, "ERROR_CONTROL", "1   NORMAL"))
	b.WriteString(scLine(c, "BINARY_PATH_NAME", s.Path))
	b.WriteString(scLine(c, "LOAD_ORDER_GROUP", ""))
	b.WriteString(scLine(c, "TAG", "0"))
	b.WriteString(scLine(c, "DISPLAY_NAME", s.Display))
	deps := s.DependsOn
	if len(deps) == 0 {
		deps = []string{""}
	}
	for i, d := range deps {
		label := "DEPENDENCIES"
		if i > 0 {
			label = ""
		}
		b.WriteString(scLine(c, label, d))
	}
	b.WriteString(scLine(c, "SERVICE_START_NAME", s.Account))
	return Result{Stdout: b.String()}
}

// scOptions reads pairs like `start= demand`. The blank behind the equal sign is required: without
// it sc takes no option.
func scOptions(c *Ctx, rest []string) (map[string]string, bool) {
	out := map[string]string{}
	for i := 0; i < len(rest); i += 2 {
		key := strings.ToLower(rest[i])
		if !strings.HasSuffix(key, "=") || i+1 >= len(rest) {
			return nil, false
		}
		switch key {
		case "start=", "binpath=", "displayname=", "depend=", "obj=", "password=", "type=", "error=", "group=", "tag=":
		default:
			return nil, false
		}
		if key == "start=" && startWord(c, rest[i+1]) < 0 {
			return nil, false
		}
		out[key] = rest[i+1]
	}
	return out, true
}

// startWord is the number of a start type; 5 is delayed-auto, -1 none.
func startWord(c *Ctx, word string) int {
	switch strings.ToLower(word) {
	case "boot":
		return 0
	case "system":
		return 1
	case "auto":
		return 2
	case "demand":
		return 3
	case "disabled":
		return 4
	case "delayed-auto":
		if c.AtLeast(node.WS2008) {
			return 5
		}
	}
	return -1
}

func (c *Ctx) applyService(s *model.Service, o map[string]string) {
	for k, v := range o {
		switch k {
		case "start=":
			n := startWord(c, v)
			s.Delayed = n == 5
			if n == 5 {
				n = 2
			}
			s.Start = n
		case "binpath=":
			s.Path = v
		case "displayname=":
			s.Display = v
		case "obj=":
			s.Account = v
		case "depend=":
			s.DependsOn = nil
			for _, d := range strings.Split(v, "/") {
				if d != "" {
					s.DependsOn = append(s.DependsOn, d)
				}
			}
		case "type=":
			if strings.EqualFold(v, "own") {
				s.Kind = 16
			} else if strings.EqualFold(v, "share") {
				s.Kind = 32
			}
		}
	}
}

func scUsage(verb string) Result {
	return Result{Code: errCommandLine,
		Stdout: "DESCRIPTION:\r\n        " + verb + "\r\nUSAGE:\r\n        sc <server> " + verb +
			" [service name] <option1> <option2>...\r\n"}
}

func scConfig(c *Ctx, rest []string) Result {
	if len(rest) < 1 {
		return scUsage("config")
	}
	o, ok := scOptions(c, rest[1:])
	if !ok {
		return scUsage("config")
	}
	s := Service(c, rest[0])
	switch {
	case s == nil:
		return scFailed(c, "OpenService", errServiceAbsent)
	case s.Deleted:
		return scFailed(c, "ChangeServiceConfig", errServiceMarked)
	}
	c.applyService(s, o)
	return scDone(c, "ChangeServiceConfig")
}

func scCreate(c *Ctx, rest []string) Result {
	if len(rest) < 3 {
		return scUsage("create")
	}
	o, ok := scOptions(c, rest[1:])
	if !ok || o["binpath="] == "" {
		return scUsage("create")
	}
	if old := Service(c, rest[0]); old != nil {
		if old.Deleted {
			return scFailed(c, "CreateService", errServiceMarked)
		}
		return scFailed(c, "CreateService", errServiceExists)
	}
	s := model.Service{Name: rest[0], Display: rest[0], Start: 3, Kind: 16}
	c.applyService(&s, o)
	AddService(c.M, s)
	return scDone(c, "CreateService")
}
