//! The faulty service of the demo. It writes to a raw socket, because HTTP libraries do not allow most of these faults.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A fault that a service can have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    /// The path that causes the fault.
    pub(super) path: &'static str,
    /// The name of the case.
    pub(super) title: &'static str,
    /// The behavior of the service.
    behavior: Behavior,
    /// The internals in the response, none of which may reach a client.
    pub(super) secrets: &'static [&'static str],
}

#[derive(Clone, Copy, Debug)]
enum Behavior {
    Answer {
        status: &'static str,
        headers: &'static str,
        body: &'static str,
    },
    Hang,
    Reset,
    Truncate,
    /// The gateway sends this path to a closed port.
    Refuse,
}

const fn answer(status: &'static str, headers: &'static str, body: &'static str) -> Behavior {
    Behavior::Answer { status, headers, body }
}

const HTML: &str = "Content-Type: text/html; charset=utf-8\r\n";
const JSON: &str = "Content-Type: application/json\r\n";

/// All cases, in the order of the output.
pub(super) const CASES: &[Case] = &[
    Case { path: "/ok", title: "a normal 200", behavior: answer("200 OK", JSON, "{\"orders\":[7,8]}"), secrets: &[] },
    Case {
        path: "/java",
        title: "Java trace as HTML",
        behavior: answer(
            "500 Internal Server Error",
            "Content-Type: text/html; charset=utf-8\r\nServer: Apache-Coyote/1.1\r\n",
            "<html><head><title>HTTP Status 500</title></head><body><h1>HTTP Status 500 - could not execute statement</h1><pre>\
             org.hibernate.exception.ConstraintViolationException: could not execute statement\n\
             \tat com.acme.orders.OrderDao.save(OrderDao.java:118)\n\tat com.acme.orders.OrderService.place(OrderService.java:54)\n\
             Caused by: java.sql.SQLException: ORA-00001: unique constraint (SHOP.PK_ORDERS) violated\n</pre></body></html>",
        ),
        secrets: &["com.acme", "OrderDao.java", "ORA-00001", "hibernate"],
    },
    Case {
        path: "/python",
        title: "Python traceback",
        behavior: answer(
            "500 INTERNAL SERVER ERROR",
            "Content-Type: text/plain\r\nServer: Werkzeug/2.0 Python/3.8\r\n",
            "Traceback (most recent call last):\n  File \"/srv/shop/app.py\", line 41, in order\n    conn = psycopg2.connect(DSN)\n\
             psycopg2.OperationalError: could not connect to server at \"10.20.30.40\", password=hunter2\n",
        ),
        secrets: &["/srv/shop", "psycopg2", "10.20.30.40", "hunter2"],
    },
    Case {
        path: "/php",
        title: "PHP fatal error",
        behavior: answer(
            "500 Internal Server Error",
            "Content-Type: text/html\r\nX-Powered-By: PHP/5.6.40\r\n",
            "<br />\n<b>Fatal error</b>: Uncaught PDOException: SQLSTATE[42S02]: Base table or view not found in /var/www/html/order.php:23\n\
             Stack trace:\n#0 /var/www/html/order.php(23): PDO->query('SELECT * FROM or...')\n",
        ),
        secrets: &["/var/www", "SQLSTATE", "PDOException", "PHP/5.6"],
    },
    Case {
        path: "/dotnet",
        title: ".NET error page",
        behavior: answer(
            "500 Internal Server Error",
            "Content-Type: text/html\r\nX-AspNet-Version: 4.0.30319\r\n",
            "<html><head><title>Object reference not set to an instance of an object.</title></head><body><pre>\
             [NullReferenceException: Object reference not set to an instance of an object.]\n\
             \x20  Shop.Web.OrderController.Get(Int32 id) in C:\\build\\Shop\\OrderController.cs:77\n</pre></body></html>",
        ),
        secrets: &["NullReference", "OrderController", "C:\\build", "4.0.30319"],
    },
    Case {
        path: "/soap",
        title: "SOAP fault",
        behavior: answer(
            "500 Internal Server Error",
            "Content-Type: text/xml; charset=utf-8\r\n",
            "<?xml version=\"1.0\"?><soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\"><soap:Body><soap:Fault>\
             <faultcode>soap:Server</faultcode><faultstring>java.lang.IllegalStateException: ledger-db.corp.internal is down</faultstring>\
             </soap:Fault></soap:Body></soap:Envelope>",
        ),
        secrets: &["IllegalState", "ledger-db"],
    },
    Case { path: "/hang", title: "never answers", behavior: Behavior::Hang, secrets: &[] },
    Case { path: "/reset", title: "resets the connection", behavior: Behavior::Reset, secrets: &[] },
    Case { path: "/truncated", title: "error page cut in the middle", behavior: Behavior::Truncate, secrets: &["com.acme"] },
    Case { path: "/refused", title: "connection refused", behavior: Behavior::Refuse, secrets: &[] },
    Case {
        path: "/busy",
        title: "429 with an own body",
        behavior: answer(
            "429 Too Many Requests",
            "Content-Type: text/html\r\nRetry-After: 30\r\n",
            "<h1>Slow down</h1> limiter at /opt/shop/limit.rb:9",
        ),
        secrets: &["/opt/shop", "limit.rb"],
    },
    Case {
        path: "/maintenance",
        title: "503 with Retry-After",
        behavior: answer(
            "503 Service Unavailable",
            "Content-Type: text/html\r\nRetry-After: 120\r\n",
            "<h1>Back soon</h1><!-- node app-07.corp.internal -->",
        ),
        secrets: &["app-07"],
    },
    Case {
        path: "/invalid",
        title: "validation errors",
        behavior: answer(
            "422 Unprocessable Entity",
            JSON,
            "{\"message\":\"The order is not valid.\",\"code\":\"ORDER_INVALID\",\"errors\":[{\"field\":\"email\",\"message\":\"must be an email\"},\
             {\"field\":\"items[0].qty\",\"message\":\"must be at least 1\"}]}",
        ),
        secrets: &[],
    },
    Case {
        path: "/missing",
        title: "404 with a trace in the body",
        behavior: answer(
            "404 Not Found",
            HTML,
            "<h1>No such order</h1><pre>ActiveRecord::RecordNotFound (Couldn't find Order)\napp/controllers/orders_controller.rb:12:in `show'</pre>",
        ),
        secrets: &["ActiveRecord", "orders_controller"],
    },
];

/// Serves until the runtime ends.
pub(super) async fn serve(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            // Errors are ignored: a client may close the connection at any time.
            let _ = respond(stream).await;
        });
    }
}

async fn respond(mut stream: TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < 64 * 1024 {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).await?;
        if read == 0 {
            return Ok(());
        }
        head.extend_from_slice(&piece[..read]);
    }
    let head = String::from_utf8_lossy(&head);
    let path = head.split(' ').nth(1).unwrap_or("/").split('?').next().unwrap_or("/");
    let behavior = CASES.iter().find(|case| case.path == path).map_or(answer("404 Not Found", JSON, "{}"), |case| case.behavior);
    match behavior {
        Behavior::Answer { status, headers, body } => {
            let length = body.len();
            let text = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}");
            stream.write_all(text.as_bytes()).await?;
            stream.shutdown().await
        }
        Behavior::Hang => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            Ok(())
        }
        Behavior::Truncate => {
            let text = "HTTP/1.1 500 Oops\r\nContent-Type: text/html\r\nContent-Length: 90000\r\n\r\n<h1>Error</h1><pre>at com.acme.Ledger.post(Ledger.java:9)";
            stream.write_all(text.as_bytes()).await?;
            stream.shutdown().await
        }
        Behavior::Reset | Behavior::Refuse => socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)),
    }
}
