// Tomcat with an application below /app and its own WebDAV servlet below /dav: `java TomcatSite.java PORT FOLDER`.

import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.File;
import java.io.IOException;
import org.apache.catalina.Context;
import org.apache.catalina.Wrapper;
import org.apache.catalina.servlets.WebdavServlet;
import org.apache.catalina.startup.Tomcat;
import org.apache.catalina.valves.RemoteIpValve;

public class TomcatSite {
    static class Home extends HttpServlet {
        @Override
        protected void service(HttpServletRequest request, HttpServletResponse response) throws IOException {
            switch (request.getServletPath()) {
                case "/home" -> response.getWriter().print(request.getSession().isNew() + " " + request.getRequestURL());
                case "/login" -> response.sendRedirect(request.getContextPath() + "/home");
                case "/absolute" -> {
                    response.setStatus(302);
                    String url = request.getRequestURL().toString();
                    response.setHeader("Location", url.substring(0, url.length() - "/absolute".length()) + "/home");
                }
                case "/fail" -> throw new IllegalStateException("SELECT * FROM orders");
                default -> response.sendError(404);
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        Tomcat tomcat = new Tomcat();
        tomcat.setBaseDir(arguments[1]);
        tomcat.setPort(Integer.parseInt(arguments[0]));
        tomcat.getConnector().setProperty("address", "127.0.0.1");
        RemoteIpValve valve = new RemoteIpValve();
        valve.setProtocolHeader("x-forwarded-proto");
        tomcat.getEngine().getPipeline().addValve(valve);
        File files = new File(arguments[1], "files");
        files.mkdirs();
        Context app = tomcat.addContext("/app", files.getPath());
        Tomcat.addServlet(app, "home", new Home());
        app.addServletMappingDecoded("/", "home");
        for (String path : new String[] {"/home", "/login", "/absolute", "/fail"}) {
            app.addServletMappingDecoded(path, "home");
        }
        Context dav = tomcat.addContext("/dav", files.getPath());
        Wrapper servlet = Tomcat.addServlet(dav, "dav", new WebdavServlet());
        servlet.addInitParameter("readonly", "false");
        servlet.addInitParameter("listings", "true");
        dav.addServletMappingDecoded("/*", "dav");
        tomcat.start();
        tomcat.getServer().await();
    }
}
