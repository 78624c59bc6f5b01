//! A server of one's own, and the people who use it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A running server with its folders; it and they are gone when this is dropped.
pub struct TestHost {
    folder: tempfile::TempDir,
    server: Option<Child>,
    pub https: String,
    pub ssh: String,
}

/// One of those who use a server: an SSH key, Git credentials, a home of their own.
#[derive(Clone)]
pub struct Person {
    pub name: String,
    home: PathBuf,
    keys: PathBuf,
    https: String,
    ssh: String,
    credentials: Option<(String, String)>,
}

impl TestHost {
    /// Starts a server on empty folders.
    pub fn start() -> TestHost {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut host = TestHost { folder, server: None, https: String::new(), ssh: String::new() };
        host.up(&[]);
        host
    }

    /// Starts the server again, with these variables set besides.
    pub fn up(&mut self, variables: &[(&str, &str)]) {
        let mut command = self.lockgate(&["serve", "--https", "127.0.0.1:0", "--ssh", "127.0.0.1:0"]);
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.path("server.log")).unwrap();
        command.envs(variables.iter().copied()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut server = command.spawn().expect("the server starts");
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let line = lines.next().and_then(Result::ok).unwrap_or_else(|| panic!("not ready:\n{}", self.log()));
        let url = |key: &str| {
            let (_, rest) = line.split_once(&format!(" {key}=")).unwrap_or_else(|| panic!("{line}"));
            rest.split(' ').next().unwrap().to_string()
        };
        self.https = url("https");
        self.ssh = url("ssh");
        self.server = Some(server);
    }

    /// Stops the server as an administrator would, and gives its exit code.
    pub fn down(&mut self) -> Option<i32> {
        let mut server = self.server.take()?;
        let _ = Command::new("kill").arg(server.id().to_string()).status();
        server.wait().ok()?.code()
    }

    /// Waits for the server to die of itself.
    pub fn await_death(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.wait().expect("the server can be waited for");
        }
    }

    /// Takes the server's life without warning.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().expect("the server can be killed");
            server.wait().expect("the server can be waited for");
        }
    }

    /// A path below this host's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the server has written to its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("server.log")).unwrap_or_default()
    }

    /// Waits until the server's log says something.
    pub fn await_log(&self, what: &str) {
        let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while !self.log().contains(what) {
            assert!(std::time::Instant::now() < until, "the log does not say `{what}`:\n{}", self.log());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    fn lockgate(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockgate"));
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("LOCKGATE_DATA", self.path("data"))
            .env("LOCKGATE_KEYS", self.path("keys"))
            .env("LOCKGATE_POLICIES", self.path("policies"))
            .current_dir(self.folder.path());
        command
    }

    /// Runs an administration command that has to succeed, and gives what it prints.
    pub fn admin(&self, arguments: &[&str]) -> String {
        let output = self.try_admin(arguments);
        assert!(
            output.status.success(),
            "lockgate {arguments:?}: {}{}\n{}",
            text(&output.stdout),
            text(&output.stderr),
            self.log()
        );
        text(&output.stdout)
    }

    /// Runs an administration command.
    pub fn try_admin(&self, arguments: &[&str]) -> Output {
        self.lockgate(arguments).output().expect("lockgate runs")
    }

    /// A new user in these groups, with an SSH key and Git credentials.
    pub fn person(&self, name: &str, groups: &[&str]) -> Person {
        let mut arguments = vec!["user", "create", name];
        for group in groups {
            arguments.extend(["--group", group]);
        }
        self.admin(&arguments);
        let json = self.admin(&["--output", "json", "credential", "git", "create", name]);
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        let credentials = (json["userName"].as_str().unwrap().into(), json["password"].as_str().unwrap().into());
        self.person_with(name, Some(credentials))
    }

    fn person_with(&self, name: &str, credentials: Option<(String, String)>) -> Person {
        let home = self.path(&format!("home-{name}"));
        std::fs::create_dir_all(home.join(".ssh")).unwrap();
        let key = home.join(".ssh/id_ed25519");
        if !key.exists() {
            run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&key));
            let public = home.join(".ssh/id_ed25519.pub");
            self.admin(&["credential", "ssh-key", "add", name, public.to_str().unwrap()]);
        }
        Person {
            name: name.into(),
            home,
            keys: self.path("keys"),
            https: self.https.clone(),
            ssh: self.ssh.clone(),
            credentials,
        }
    }
}

impl Drop for TestHost {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

impl Person {
    /// The same person at the addresses that a server has now.
    pub fn at(&self, host: &TestHost) -> Person {
        Person { https: host.https.clone(), ssh: host.ssh.clone(), ..self.clone() }
    }

    /// The URL of a repository of one's own account over HTTPS, with the credentials in it.
    pub fn https(&self, repository: &str) -> String {
        let (user, password) = self.credentials.as_ref().expect("has Git credentials");
        let host = self.https.strip_prefix("https://").unwrap();
        format!("https://{user}:{password}@{host}/v1/repos/{repository}")
    }

    /// The password for Git over HTTPS.
    pub fn password(&self) -> &str {
        &self.credentials.as_ref().expect("has Git credentials").1
    }

    /// The URL of a repository of one's own account over SSH.
    pub fn ssh(&self, repository: &str) -> String {
        format!("{}/v1/repos/{repository}", self.ssh)
    }

    /// A command with this person's home, keys and configuration, and nothing else of the machine's.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let ssh = format!(
            "ssh -F none -i {} -o IdentitiesOnly=yes -o UserKnownHostsFile={} -o StrictHostKeyChecking=yes",
            self.home.join(".ssh/id_ed25519").display(),
            self.keys.join("known_hosts").display()
        );
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.home)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_SSH_COMMAND", ssh)
            .env("GIT_SSL_CAINFO", self.keys.join("ca.pem"))
            .env("GIT_AUTHOR_NAME", &self.name)
            .env("GIT_AUTHOR_EMAIL", format!("{}@example.com", self.name))
            .env("GIT_COMMITTER_NAME", &self.name)
            .env("GIT_COMMITTER_EMAIL", format!("{}@example.com", self.name))
            .env("LC_ALL", "C");
        command
    }

    /// Runs git in a folder; it has to succeed. Gives standard output and error together.
    pub fn git(&self, folder: &Path, arguments: &[&str]) -> String {
        let output = self.try_git(folder, arguments);
        assert!(output.status.success(), "git {arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout) + &text(&output.stderr)
    }

    /// Runs git in a folder.
    pub fn try_git(&self, folder: &Path, arguments: &[&str]) -> Output {
        let mut command = self.command("git");
        command.args(["-c", "init.defaultBranch=main", "-c", "advice.detachedHead=false", "-c", "protocol.version=2"]);
        command.args(arguments).current_dir(folder).stdin(Stdio::null()).output().expect("git runs")
    }

    /// Runs git in a folder; it has to fail. Gives what it printed.
    pub fn git_fails(&self, folder: &Path, arguments: &[&str]) -> String {
        let output = self.try_git(folder, arguments);
        let printed = text(&output.stdout) + &text(&output.stderr);
        assert!(!output.status.success(), "git {arguments:?} succeeded: {printed}");
        printed
    }

    /// A new repository with a few commits, a merge, tags and a file that changes.
    pub fn history(&self, folder: &Path) {
        std::fs::create_dir_all(folder).unwrap();
        self.git(folder, &["init", "-q"]);
        for i in 0..20 {
            std::fs::create_dir_all(folder.join(format!("src/part{}", i % 3))).unwrap();
            std::fs::write(folder.join(format!("src/part{}/file.txt", i % 3)), format!("line {i}\n").repeat(50 + i))
                .unwrap();
            std::fs::write(folder.join("README"), format!("step {i}\n")).unwrap();
            self.git(folder, &["add", "."]);
            self.git(folder, &["commit", "-q", "-m", &format!("step {i}")]);
        }
        self.git(folder, &["checkout", "-q", "-b", "side", "HEAD~5"]);
        std::fs::write(folder.join("side"), "side\n").unwrap();
        self.git(folder, &["add", "."]);
        self.git(folder, &["commit", "-q", "-m", "side"]);
        self.git(folder, &["checkout", "-q", "main"]);
        self.git(folder, &["merge", "-q", "--no-edit", "side"]);
        self.git(folder, &["tag", "light"]);
        self.git(folder, &["tag", "-a", "-m", "annotated", "v1.0", "HEAD~2"]);
    }
}

/// Runs a command that has to succeed.
pub fn run(command: &mut Command) -> String {
    let output = command.output().expect("the program runs");
    assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Bytes as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
