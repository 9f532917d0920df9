package machine

import (
	"fmt"
	"strings"
)

// netMessages are the numbers that net.exe names with NET HELPMSG. Source: network management error
// codes; windows.md 7.
func netMessages() map[int][4]string {
	return map[int][4]string{
		2182: {"The requested service has already been started.", "Le service demandé a déjà été démarré.",
			"Der angeforderte Dienst wurde bereits gestartet.", "要求されたサービスは既に開始されています。"},
		2185: {"The service name is invalid.", "Nom de service non valide.", "Der Dienstname ist ungültig.", "サービス名は無効です。"},
		3521: {"The service is not started.", "Le service n’a pas été lancé.", "Der Dienst wurde nicht gestartet.",
			"サービスは開始されていません。"},
		2189: {"The service could not be controlled in its present state.",
			"Le service n’a pas pu être contrôlé dans son état actuel.",
			"Der Dienst konnte in seinem gegenwärtigen Zustand nicht gesteuert werden.", "サービスは現在の状態で制御できませんでした。"},
		2118: {"The name has already been shared.", "Ce nom a déjà été partagé.", "Der Name wurde bereits freigegeben.",
			"その名前は既に共有されています。"},
		2310: {"This shared resource does not exist.", "Cette ressource partagée n’existe pas.",
			"Die freigegebene Ressource ist nicht vorhanden.", "この共有リソースは存在しません。"},
	}
}

// netFailed is net.exe's answer to a refusal: the process always ends with 2.
func netFailed(c *Ctx, code int) Result {
	text, ok := netMessages()[code]
	if ok {
		return Result{Code: 2, Stderr: c.Pick(text) + "\r\n\r\n" +
			c.Pick([4]string{"More help is available by typing NET HELPMSG ",
				"Vous obtiendrez une aide supplémentaire en entrant NET HELPMSG ",
				"Sie erhalten weitere Hilfe, wenn Sie NET HELPMSG eingeben: ",
				"NET HELPMSG と入力すると、より詳しい説明が得られます: "}) + fmt.Sprint(code) + ".\r\n\r\n"}
	}
	return Result{Code: 2, Stderr: c.Pick([4]string{"System error ", "Erreur système ", "Systemfehler ",
		"システム エラー "}) + fmt.Sprint(code) +
		c.Pick([4]string{" has occurred.", " s’est produite.", " aufgetreten.", " が発生しました。"}) + "\r\n\r\n" +
		c.Text(code) + "\r\n\r\n"}
}

func netTool(c *Ctx, argv []string, _ []byte) Result {
	if len(argv) < 2 {
		return Result{Code: 1, Stderr: "NET [ SHARE | START | STOP ]\r\n"}
	}
	options, names := "", []string{}
	for _, a := range argv[2:] {
		if strings.HasPrefix(a, "/") {
			options += strings.ToLower(a) + " "
		} else {
			names = append(names, a)
		}
	}
	switch strings.ToLower(argv[1]) {
	case "start":
		return netStart(c, names)
	case "stop":
		return netStop(c, names, strings.Contains(options, "/y"))
	case "share":
		return netShare(c, names, options)
	}
	return Result{Code: 1, Stderr: "deploy lab: net " + argv[1] + " is not emulated\r\n"}
}

func netStart(c *Ctx, names []string) Result {
	if len(names) == 0 {
		var b strings.Builder
		for _, n := range sortedKeys(c.M.Services) {
			if s := c.M.Services[n]; s.State == 4 && s.Kind != 1 && s.Kind != 2 {
				b.WriteString("   " + s.Display + "\r\n")
			}
		}
		return Result{Stdout: b.String()}
	}
	s := serviceByDisplay(c, strings.Join(names, " "))
	if s == nil {
		return netFailed(c, 2185)
	}
	switch code := StartService(c, s.Name); code {
	case 0:
		return Result{Stdout: fmt.Sprintf(c.Pick([4]string{"The %s service was started successfully.",
			"Le service %s a démarré.", "%s wurde erfolgreich gestartet.", "%s サービスは正常に開始されました。"}), s.Display) + "\r\n\r\n"}
	case errServiceRunning:
		return netFailed(c, 2182)
	default:
		return netFailed(c, code)
	}
}

func netStop(c *Ctx, names []string, yes bool) Result {
	s := serviceByDisplay(c, strings.Join(names, " "))
	if s == nil {
		return netFailed(c, 2185)
	}
	switch code := StopService(c, s.Name, yes); code {
	case 0:
		return Result{Stdout: fmt.Sprintf(c.Pick([4]string{"The %s service was stopped successfully.",
			"Le service %s a été arrêté.", "%s wurde erfolgreich beendet.", "%s サービスは正常に停止されました。"}), s.Display) + "\r\n\r\n"}
	case errServiceNotActive:
		return netFailed(c, 3521)
	case errDependentRunning:
		// net asks on the console and finds no answer there
		return Result{Code: 2, Stderr: c.Text(code) + "\r\n"}
	case 1052:
		return netFailed(c, 2189)
	default:
		return netFailed(c, code)
	}
}

// netShare lists, makes and removes shares. They stand in Extra["shares"], lower-case name to path.
func netShare(c *Ctx, names []string, options string) Result {
	shares := c.M.Extra["shares"]
	if len(names) == 0 {
		var b strings.Builder
		for _, n := range sortedKeys(shares) {
			fmt.Fprintf(&b, "%-12s %s\r\n", n, shares[n])
		}
		return Result{Stdout: b.String()}
	}
	name, path, create := strings.Cut(names[0], "=")
	key := strings.ToLower(name)
	done := Result{Stdout: c.Pick([4]string{name + " was shared successfully.", name + " a été partagé.",
		name + " wurde erfolgreich freigegeben.", name + " は共有されました。"}) + "\r\n\r\n"}
	switch {
	case create && shares[key] != "":
		return netFailed(c, 2118)
	case create:
		f, err := StatFile(c, path)
		if err != nil || !f.Dir {
			return netFailed(c, errPathNotFound)
		}
		if c.M.Extra == nil {
			c.M.Extra = map[string]map[string]string{}
		}
		if shares == nil {
			c.M.Extra["shares"] = map[string]string{}
		}
		c.M.Extra["shares"][key] = c.abs(path)
		return done
	case shares[key] == "":
		return netFailed(c, 2310)
	case strings.Contains(options, "/del"):
		delete(shares, key)
		if len(shares) == 0 {
			delete(c.M.Extra, "shares")
		}
		return Result{Stdout: c.Pick([4]string{name + " was deleted successfully.", name + " a été supprimé.",
			name + " wurde erfolgreich gelöscht.", name + " が削除されました。"}) + "\r\n\r\n"}
	}
	return Result{Stdout: fmt.Sprintf("%-12s %s\r\n", name, shares[key])}
}
