// Stand-ins for what only Windows has. Every class has the members that the resident script uses, and keeps what it is asked in the
// file that PSPROOF_RECORD names: a line of words in base64 for each call.
using System;
using System.Collections;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Text;

namespace DeployStub
{
    public static class Record
    {
        static string B64(string s) { return Convert.ToBase64String(Encoding.UTF8.GetBytes(s)); }

        // Show writes a value with its type, so that a number that arrives as text is seen.
        public static string Show(object o)
        {
            if (o == null) return "null";
            // what PowerShell wraps for itself is shown as what it is
            if (o.GetType().FullName == "System.Management.Automation.PSObject") o = o.GetType().GetProperty("BaseObject").GetValue(o, null);
            if (o is string) return "s:" + B64((string)o);
            if (o is Array)
            {
                List<string> parts = new List<string>();
                foreach (object x in (Array)o) parts.Add(Show(x));
                return o.GetType().Name + "{" + string.Join(",", parts.ToArray()) + "}";
            }
            return o.GetType().Name + ":" + Convert.ToString(o, CultureInfo.InvariantCulture);
        }

        public static void Line(List<string> words)
        {
            List<string> parts = new List<string>();
            foreach (string w in words) parts.Add(B64(w));
            File.AppendAllText(Environment.GetEnvironmentVariable("PSPROOF_RECORD"), string.Join(" ", parts.ToArray()) + "\n");
        }

        public static void Add(string what, string a) { Line(new List<string>(new string[] { what, a })); }
        public static void Add(string what, string a, string b) { Line(new List<string>(new string[] { what, a, b })); }
        public static void Add(string what, string a, string b, string c) { Line(new List<string>(new string[] { what, a, b, c })); }

        static List<string> parameters = new List<string>();
        public static void Param(string name, object value) { parameters.Add(name + "=" + Show(value)); }
        public static void Call(string name)
        {
            List<string> words = parameters;
            parameters = new List<string>();
            words.Sort(StringComparer.Ordinal);
            words.Insert(0, name);
            Line(words);
        }
    }

    public static class Machine
    {
        // Windows 2008 and later have 6 or more.
        public static int Major = 6;
    }

    // World reads what WMI and the directory hold, from the file that PSPROOF_WORLD names. A line has words in base64:
    // prop CLASS INSTANCE NAME TYPE VALUE, or method CLASS NAME ARGUMENT:TYPE...
    public static class World
    {
        public static Dictionary<string, SortedDictionary<int, List<Management.PropertyData>>> Classes =
            new Dictionary<string, SortedDictionary<int, List<Management.PropertyData>>>(StringComparer.OrdinalIgnoreCase);
        public static Dictionary<string, List<string[]>> Methods = new Dictionary<string, List<string[]>>(StringComparer.OrdinalIgnoreCase);

        static World()
        {
            foreach (string line in File.ReadAllLines(Environment.GetEnvironmentVariable("PSPROOF_WORLD")))
            {
                string[] w = line.Split(' ');
                for (int i = 0; i < w.Length; i++) w[i] = Encoding.UTF8.GetString(Convert.FromBase64String(w[i]));
                if (!Classes.ContainsKey(w[1]))
                {
                    Classes[w[1]] = new SortedDictionary<int, List<Management.PropertyData>>();
                    Methods[w[1]] = new List<string[]>();
                }
                if (w[0] == "prop")
                {
                    int n = int.Parse(w[2], CultureInfo.InvariantCulture);
                    if (!Classes[w[1]].ContainsKey(n)) Classes[w[1]][n] = new List<Management.PropertyData>();
                    Classes[w[1]][n].Add(Property(w[3], w[4], w[5]));
                }
                else if (w[0] == "method")
                {
                    string[] m = new string[w.Length - 2];
                    Array.Copy(w, 2, m, 0, m.Length);
                    Methods[w[1]].Add(m);
                }
            }
        }

        public static Management.PropertyData Property(string name, string type, string value)
        {
            Management.PropertyData p = new Management.PropertyData();
            p.Name = name;
            p.IsArray = type == "String[]";
            p.Type = Management.CimType.String;
            p.Value = value;
            if (type == "UInt32")
            {
                p.Type = Management.CimType.UInt32;
                p.Value = value == "" ? null : (object)uint.Parse(value, CultureInfo.InvariantCulture);
            }
            else if (type == "Boolean")
            {
                p.Type = Management.CimType.Boolean;
                p.Value = value == "True";
            }
            else if (type == "String[]")
            {
                p.Value = new string[] { value, value + "2" };
            }
            else if (type == "Object")
            {
                p.Type = Management.CimType.Object;
                Management.ManagementBaseObject o = new Management.ManagementBaseObject();
                o.Properties.Add(Property(value, "String", "inner"));
                p.Value = o;
            }
            return p;
        }
    }
}

namespace DeployStub.Management
{
    public enum CimType { SInt32 = 3, String = 8, Boolean = 11, Object = 13, UInt8 = 17, UInt16 = 18, UInt32 = 19 }
    public enum AuthenticationLevel { Default = 0, PacketPrivacy = 6 }
    public enum ManagementStatus
    {
        NotFound = unchecked((int)0x80041002), InvalidNamespace = unchecked((int)0x8004100E), InvalidClass = unchecked((int)0x80041010),
        InvalidQuery = unchecked((int)0x80041017)
    }

    public class ManagementException : Exception
    {
        ManagementStatus code;
        public ManagementException(ManagementStatus code) : base("WMI " + code) { this.code = code; }
        public ManagementStatus ErrorCode { get { return code; } }
    }

    public class PropertyData
    {
        string name;
        object value;
        bool isArray;
        CimType type;
        public string Name { get { return name; } set { name = value; } }
        public object Value { get { return value; } set { this.value = value; } }
        public bool IsArray { get { return isArray; } set { isArray = value; } }
        public CimType Type { get { return type; } set { type = value; } }
    }

    public class PropertyDataCollection : IEnumerable
    {
        List<PropertyData> list = new List<PropertyData>();
        public void Add(PropertyData p) { list.Add(p); }
        public IEnumerator GetEnumerator() { return list.GetEnumerator(); }
        public PropertyData this[string name]
        {
            get
            {
                foreach (PropertyData p in list) if (string.Equals(p.Name, name, StringComparison.OrdinalIgnoreCase)) return p;
                throw new ManagementException(ManagementStatus.NotFound);
            }
        }
    }

    public class ManagementBaseObject
    {
        PropertyDataCollection properties = new PropertyDataCollection();
        public PropertyDataCollection Properties { get { return properties; } }
        public string Shown()
        {
            List<string> parts = new List<string>();
            foreach (PropertyData p in properties)
            {
                if (p.Value == null) continue;
                ManagementBaseObject inner = p.Value as ManagementBaseObject;
                parts.Add(p.Name + "=" + (inner != null ? "(" + inner.Shown() + ")" : Record.Show(p.Value)));
            }
            parts.Sort(StringComparer.Ordinal);
            return string.Join(" ", parts.ToArray());
        }
    }

    public class ManagementObject : ManagementBaseObject
    {
        public string Class;
        public string Key = "class";
        public ManagementBaseObject GetMethodParameters(string method)
        {
            foreach (string[] m in World.Methods[Class])
            {
                if (!string.Equals(m[0], method, StringComparison.OrdinalIgnoreCase)) continue;
                if (m.Length == 1) return null;
                ManagementBaseObject o = new ManagementBaseObject();
                for (int i = 1; i < m.Length; i++)
                {
                    string[] a = m[i].Split(':');
                    PropertyData p = World.Property(a[0], a[1], "");
                    p.Value = null;
                    o.Properties.Add(p);
                }
                return o;
            }
            throw new ManagementException(ManagementStatus.NotFound);
        }
        public ManagementBaseObject InvokeMethod(string method, ManagementBaseObject args, object options)
        {
            Record.Add("InvokeMethod", Class + " " + Key, method, args == null ? "" : args.Shown());
            ManagementBaseObject o = new ManagementBaseObject();
            o.Properties.Add(World.Property("ReturnValue", "UInt32", "0"));
            return o;
        }
        public ManagementPath Put()
        {
            Record.Add("Put", Class + " " + Key, Shown());
            return new ManagementPath(Class);
        }
        public void Get() { }
    }

    public class ManagementPath
    {
        string path;
        public ManagementPath(string path) { this.path = path; }
        public string Path { get { return path; } }
    }

    public class MethodData
    {
        string name;
        public MethodData(string name) { this.name = name; }
        public string Name { get { return name; } }
    }

    public class ManagementClass : ManagementObject
    {
        public ManagementClass(string name) { Find(name); }
        public ManagementClass(ManagementScope scope, ManagementPath path, object options) { Find(path.Path); }
        void Find(string name)
        {
            if (!World.Classes.ContainsKey(name)) throw new ManagementException(ManagementStatus.InvalidClass);
            Class = name;
        }
        public ArrayList Methods
        {
            get
            {
                ArrayList list = new ArrayList();
                foreach (string[] m in World.Methods[Class]) list.Add(new MethodData(m[0]));
                return list;
            }
        }
    }

    public class ConnectionOptions
    {
        bool enablePrivileges;
        AuthenticationLevel authentication;
        public bool EnablePrivileges { get { return enablePrivileges; } set { enablePrivileges = value; } }
        public AuthenticationLevel Authentication { get { return authentication; } set { authentication = value; } }
    }

    public class ManagementScope
    {
        string path;
        ConnectionOptions options = new ConnectionOptions();
        public ManagementScope(string path) { this.path = path; }
        public ConnectionOptions Options { get { return options; } }
        public void Connect()
        {
            Record.Add("Connect", path, options.EnablePrivileges + " " + options.Authentication);
            if (path.EndsWith("missing")) throw new ManagementException(ManagementStatus.InvalidNamespace);
        }
    }

    public class ObjectQuery
    {
        string text;
        public ObjectQuery(string text) { this.text = text; }
        public string QueryString { get { return text; } }
    }

    public class ManagementObjectSearcher
    {
        ObjectQuery query;
        public ManagementObjectSearcher(ManagementScope scope, ObjectQuery query) { this.query = query; }
        public ArrayList Get()
        {
            Record.Add("Query", query.QueryString);
            string[] words = query.QueryString.Split(' ');
            string name = words[words.Length - 1];
            if (!World.Classes.ContainsKey(name)) throw new ManagementException(ManagementStatus.InvalidClass);
            ArrayList list = new ArrayList();
            foreach (KeyValuePair<int, List<PropertyData>> pair in World.Classes[name])
            {
                ManagementObject o = new ManagementObject();
                o.Class = name;
                o.Key = pair.Key.ToString(CultureInfo.InvariantCulture);
                foreach (PropertyData p in pair.Value) o.Properties.Add(p);
                list.Add(o);
            }
            return list;
        }
    }
}

namespace DeployStub.Win32
{
    public enum RegistryValueKind { Unknown = 0, String = 1, ExpandString = 2, Binary = 3, DWord = 4, MultiString = 7, QWord = 11 }
    public enum RegistryValueOptions { None = 0, DoNotExpandEnvironmentNames = 1 }

    public class RegistryKey
    {
        string path;
        SortedDictionary<string, RegistryKey> keys = new SortedDictionary<string, RegistryKey>(StringComparer.OrdinalIgnoreCase);
        SortedDictionary<string, KeyValuePair<RegistryValueKind, object>> values =
            new SortedDictionary<string, KeyValuePair<RegistryValueKind, object>>(StringComparer.OrdinalIgnoreCase);
        public RegistryKey(string path) { this.path = path; }

        RegistryKey Walk(string name, bool make)
        {
            RegistryKey k = this;
            foreach (string part in name.Split('\\'))
            {
                if (!k.keys.ContainsKey(part))
                {
                    if (!make) return null;
                    k.keys[part] = new RegistryKey(k.path + "\\" + part);
                }
                k = k.keys[part];
            }
            return k;
        }
        public RegistryKey OpenSubKey(string name) { return Walk(name, false); }
        public RegistryKey OpenSubKey(string name, bool write) { return Walk(name, false); }
        public RegistryKey CreateSubKey(string name) { Record.Add("CreateSubKey", path + "\\" + name); return Walk(name, true); }
        public string[] GetSubKeyNames() { return new List<string>(keys.Keys).ToArray(); }
        public string[] GetValueNames() { return new List<string>(values.Keys).ToArray(); }
        public RegistryValueKind GetValueKind(string name) { return values[name].Key; }
        public object GetValue(string name, object missing, RegistryValueOptions options)
        {
            if (options != RegistryValueOptions.DoNotExpandEnvironmentNames) throw new ArgumentException("expanded");
            return values.ContainsKey(name) ? values[name].Value : missing;
        }
        public void SetValue(string name, object value, RegistryValueKind kind)
        {
            Record.Add("SetValue", path + "\\" + name, kind.ToString(), Record.Show(value));
            values[name] = new KeyValuePair<RegistryValueKind, object>(kind, value);
        }
        public void DeleteValue(string name, bool complain) { Record.Add("DeleteValue", path + "\\" + name, complain.ToString()); values.Remove(name); }
        public void DeleteSubKeyTree(string name)
        {
            Record.Add("DeleteSubKeyTree", path + "\\" + name);
            int i = name.LastIndexOf('\\');
            Walk(name.Substring(0, i), false).keys.Remove(name.Substring(i + 1));
        }
        public void DeleteSubKey(string name, bool complain)
        {
            Record.Add("DeleteSubKey", path + "\\" + name);
            RegistryKey k = Walk(name, false);
            if (k != null && k.SubKeyCount > 0) throw new InvalidOperationException("it has keys below it");
            int i = name.LastIndexOf('\\');
            Walk(name.Substring(0, i), false).keys.Remove(name.Substring(i + 1));
        }
        public int ValueCount { get { return values.Count; } }
        public int SubKeyCount { get { return keys.Count; } }
        public void Flush() { Record.Add("Flush", path); }
        public void Close() { }
    }

    public static class Registry
    {
        public static readonly RegistryKey LocalMachine = new RegistryKey("HKLM");
    }
}

namespace DeployStub.Acl
{
    [Flags]
    public enum AccessControlSections { None = 0, Access = 2 }

    public class FileSecurity
    {
        public string Sddl = "";
        public void SetSecurityDescriptorSddlForm(string sddl, AccessControlSections sections) { Sddl = sections + " " + sddl; }
        public string GetSecurityDescriptorSddlForm(AccessControlSections sections) { return Sddl.Substring(Sddl.IndexOf(' ') + 1); }
    }

    public class DirectorySecurity : FileSecurity { }
}

namespace DeployStub.Principal
{
    public enum WindowsBuiltInRole { Administrator = 0x220 }
    public class WindowsIdentity { public static WindowsIdentity GetCurrent() { return new WindowsIdentity(); } }
    public class WindowsPrincipal
    {
        public WindowsPrincipal(WindowsIdentity identity) { }
        public bool IsInRole(WindowsBuiltInRole role) { return true; }
    }
    public class NTAccount
    {
        string name;
        public NTAccount(string name) { this.name = name; }
        public string Value { get { return name; } }
    }
    public class SecurityIdentifier
    {
        string sid;
        public SecurityIdentifier(string sid) { this.sid = sid; }
        public NTAccount Translate(Type to) { return new NTAccount("name of " + sid); }
    }
}

namespace DeployStub.Directory
{
    public enum SearchScope { Base = 0, OneLevel = 1, Subtree = 2 }

    public class PropertyValueCollection : CollectionBase
    {
        string path, name;
        public PropertyValueCollection(string path, string name) { this.path = path; this.name = name; }
        public int Add(object value) { Record.Add("Add", path, name, Record.Show(value)); return List.Add(value); }
        protected override void OnClear() { Record.Add("Clear", path, name); }
        public void Fill(object value) { InnerList.Add(value); }
    }

    public class PropertyCollection
    {
        string path;
        Dictionary<string, PropertyValueCollection> all = new Dictionary<string, PropertyValueCollection>(StringComparer.OrdinalIgnoreCase);
        public PropertyCollection(string path) { this.path = path; }
        public PropertyValueCollection this[string name]
        {
            get
            {
                if (!all.ContainsKey(name))
                {
                    all[name] = new PropertyValueCollection(path, name);
                    if (path.EndsWith("RootDSE")) all[name].Fill("root " + name);
                }
                return all[name];
            }
        }
    }

    public class DirectoryEntries
    {
        string path;
        public DirectoryEntries(string path) { this.path = path; }
        public DirectoryEntry Add(string name, string kind)
        {
            Record.Add("Children.Add", path, name, kind);
            return new DirectoryEntry(name + " below " + path);
        }
    }

    public class DirectoryEntry
    {
        string path;
        PropertyCollection properties;
        public DirectoryEntry(string path) { this.path = path; properties = new PropertyCollection(path); }
        public string Path { get { return path; } }
        public PropertyCollection Properties { get { return properties; } }
        public DirectoryEntries Children { get { return new DirectoryEntries(path); } }
        public void RefreshCache()
        {
            Record.Add("RefreshCache", path);
            if (path.IndexOf("missing") >= 0)
                throw new System.Runtime.InteropServices.COMException("There is no such object on the server.", unchecked((int)0x80072030));
        }
        public void CommitChanges() { Record.Add("CommitChanges", path); }
        public void DeleteTree() { Record.Add("DeleteTree", path); }
    }

    public class ResultValues : ReadOnlyCollectionBase
    {
        public object this[int i] { get { return InnerList[i]; } }
        public void Fill(object value) { InnerList.Add(value); }
    }

    public class ResultProperties
    {
        Dictionary<string, ResultValues> all = new Dictionary<string, ResultValues>();
        public ResultValues this[string name] { get { return all.ContainsKey(name) ? all[name] : new ResultValues(); } }
        public void Fill(string name, object value)
        {
            if (!all.ContainsKey(name)) all[name] = new ResultValues();
            all[name].Fill(value);
        }
    }

    public class SearchResult
    {
        ResultProperties properties = new ResultProperties();
        public ResultProperties Properties { get { return properties; } }
    }

    public class SearchResultCollection : IEnumerable, IDisposable
    {
        ArrayList list = new ArrayList();
        public void Add(SearchResult r) { list.Add(r); }
        public IEnumerator GetEnumerator() { return list.GetEnumerator(); }
        public void Dispose() { }
    }

    public class DirectorySearcher
    {
        DirectoryEntry start;
        string filter = "";
        SearchScope scope;
        int pageSize;
        System.Collections.Specialized.StringCollection load = new System.Collections.Specialized.StringCollection();
        public DirectorySearcher(DirectoryEntry start) { this.start = start; }
        public string Filter { get { return filter; } set { filter = value; } }
        public SearchScope SearchScope { get { return scope; } set { scope = value; } }
        public int PageSize { get { return pageSize; } set { pageSize = value; } }
        public System.Collections.Specialized.StringCollection PropertiesToLoad { get { return load; } }
        public SearchResultCollection FindAll()
        {
            Record.Add("FindAll", start.Path, filter, scope + " " + pageSize);
            SearchResultCollection all = new SearchResultCollection();
            for (int i = 1; i <= 2; i++)
            {
                SearchResult r = new SearchResult();
                r.Properties.Fill("distinguishedname", "CN=" + i);
                foreach (string name in load)
                {
                    if (name == "distinguishedName") continue;
                    for (int k = 0; k < i; k++) r.Properties.Fill(name.ToLowerInvariant(), name + k);
                }
                all.Add(r);
            }
            return all;
        }
    }
}

namespace DeployStub.Com
{
    public class Info { public string Description = ""; }
    public class Settings
    {
        public object DisallowStartIfOnBatteries, StopIfGoingOnBatteries, MultipleInstances, ExecutionTimeLimit;
    }
    public class TaskPrincipal { public object RunLevel; }
    public class TaskAction { public string Path = "", Arguments = ""; }
    public class Actions
    {
        public TaskAction Last;
        public TaskAction Create(int kind) { Last = new TaskAction(); return Last; }
    }
    public class Task
    {
        public Info RegistrationInfo = new Info();
        public Settings Settings = new Settings();
        public TaskPrincipal Principal = new TaskPrincipal();
        public Actions Actions = new Actions();
    }
    public class Registered
    {
        string id;
        public Registered(string id) { this.id = id; }
        public object Run(object args) { Record.Add("Run", id); return this; }
    }
    public class Folder
    {
        static Dictionary<string, bool> tasks = new Dictionary<string, bool>();
        public Registered RegisterTaskDefinition(string id, Task task, int flags, object user, object password, int logon)
        {
            List<string> words = new List<string>();
            words.Add("RegisterTaskDefinition");
            words.Add(id);
            words.Add(task.Actions.Last.Path);
            words.Add(task.Actions.Last.Arguments);
            words.Add(Record.Show(user));
            words.Add(Record.Show(password));
            words.Add(flags + " " + logon + " " + task.Principal.RunLevel + " " + task.Settings.ExecutionTimeLimit);
            Record.Line(words);
            tasks[id] = true;
            return new Registered(id);
        }
        public void DeleteTask(string id, int flags)
        {
            Record.Add("DeleteTask", id);
            if (!tasks.Remove(id)) throw new FileNotFoundException("no task " + id);
        }
    }
    public class ScheduleService
    {
        public void Connect() { }
        public Task NewTask(int flags) { return new Task(); }
        public Folder GetFolder(string path) { return new Folder(); }
    }
}
